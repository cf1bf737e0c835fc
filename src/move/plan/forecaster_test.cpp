// SPDX-License-Identifier: Apache-2.0
#include "move/plan/forecaster.h"

#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "hypervisor/fake/fake.h"
#include "move/job.h"
#include "move/peer_messages.h"
#include "move/plan/measure.h"
#include "move/world_fixture.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr double kLink = 50e6;  // bytes a second, of the way to the peer

// Takes as long for a body as a link of that rate.
class SlowPeer final : public net::PeerTransport {
 public:
  std::vector<std::string> addresses, verbs, questions;
  MeasureReply reply;
  bool answers = true;
  std::mutex mutex;  // guards the lists
  Result<std::string> call(std::string_view, std::string_view verb, std::string_view body,
                           Deadline) override {
    {
      const std::lock_guard lock(mutex);
      verbs.emplace_back(verb);
      questions.emplace_back(body);
    }
    if (!answers) return fail(ErrorCode::kUnavailable, "It does not answer.");
    std::this_thread::sleep_for(
        std::chrono::duration<double>(static_cast<double>(body.size()) / kLink));
    return to_json(reply);
  }
  Result<std::string> call_at(std::string_view peer, const std::string& address,
                              std::string_view verb, std::string_view body,
                              Deadline deadline) override {
    {
      const std::lock_guard lock(mutex);
      addresses.push_back(address);
    }
    return call(peer, verb, body, deadline);
  }
};

class ForecasterTest : public testing::Test, protected WorldFixture {
 protected:
  void SetUp() override {
    open_world(hypervisor_, peer_);
    ASSERT_TRUE(hypervisor_.define(std::string("<domain type='qemu'><name>web01</name><uuid>") +
                                   kUuid +
                                   "</uuid><memory unit='MiB'>256</memory><vcpu>1</vcpu><os>"
                                   "<type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>"
                                   "<devices/></domain>"));
    ASSERT_TRUE(hypervisor_.start(kUuid));
    hypervisor_.load = [this] { return load_; };
    load_.memory_held = mib(200);
    load_.dirty_rate = BytesPerSecond{mib(3).bytes};
    plan_.request.vm = plan_.vm.uuid = kUuid;
    plan_.vm.name = "web01";
    plan_.vm.state = VmState::kRunning;
    plan_.vm.memory = mib(256);
    plan_.request.destination = "host2";
    plan_.networks = {{"any", "10.0.0.1", "10.0.0.2"}};
    DiskPlacement disk;
    disk.target = "vda";
    disk.source_path = (folder_ / "web01.qcow2").string();
    disk.destination_path = "/images/web01.qcow2";
    disk.allocated = mib(100);
    plan_.placements = {disk};
  }
  void TearDown() override { close_world(); }
  Forecast made() {
    world_->forecaster->begin(*world_, plan_.request);
    auto forecast = world_->forecaster->make(*world_, plan_);
    EXPECT_TRUE(forecast);
    return forecast.value_or(Forecast{});
  }

  // A move of this plan that has arrived a minute ago, and was forecast so.
  void write_move(const Forecast& forecast) {
    SourceJob job;
    job.move.plan = plan_;
    job.move.plan.forecast = forecast;
    job.move.id = "k3f9x2qa";
    job.move.state = MoveState::kDone;
    job.move.destination = "host2";
    job.move.started_at = std::chrono::system_clock::now() - 1min;
    job.move.phases = {{Phase::kCopyDisks, job.move.started_at, job.move.started_at + 20s}};
    job.move.ended_at = job.move.started_at + 20s;
    job.move.report.emplace().passes = {{2, {}, {}, mib(20), {6'000'000}, 0, 0, 0}};
    ASSERT_TRUE(journal_->save(journal::Side::kSource, job.move.id, journal::JobState::kEnded,
                               to_json(job)));
  }

  fake::FakeHypervisor hypervisor_{{}};
  GuestLoad load_;
  SlowPeer peer_;
  Plan plan_;
};

TEST_F(ForecasterTest, AForecastStandsOnWhatIsMeasured) {
  peer_.reply.write = {77'000'000};
  const Forecast forecast = made();
  EXPECT_EQ(forecast.dirty_rate.value_or(BytesPerSecond{}).value, mib(3).bytes);
  EXPECT_EQ(forecast.memory, mib(200));
  EXPECT_EQ(forecast.disks, mib(100));
  EXPECT_EQ(forecast.write_rate.value, 77'000'000u);
  EXPECT_GT(static_cast<double>(forecast.link_rate.value), kLink / 2);
  EXPECT_LT(static_cast<double>(forecast.link_rate.value), kLink * 1.3);
  EXPECT_TRUE(forecast.notes.empty()) << forecast.notes.front();
  EXPECT_EQ(forecast.strategies.front().strategy, "compress");
}

// docs/forecast.md: libvirt keeps its last figure for as long as the QEMU lives.
TEST_F(ForecasterTest, AGuestThatWasMeasuredLongAgoCountsAsNotMeasured) {
  load_.dirty_age = 20min;
  const Forecast forecast = made();
  EXPECT_FALSE(forecast.dirty_rate);
  EXPECT_EQ(forecast.notes.size(), 1u);
}

// Whether it can be copied depends on it.
TEST_F(ForecasterTest, AGuestThatNearlyOutrunsTheLinkIsLookedAtForLonger) {
  struct Row {
    std::uint64_t once, longer;  // MiB in a second, and on average in each of three
    std::uint64_t rate, set;
  };
  for (const Row& row : {Row{60, 22, 60, 66}, Row{60, 52, 54, 0}, Row{60, 10, 60, 60}}) {
    close_world();
    open_world(hypervisor_, peer_);
    hypervisor_.measured.clear();
    load_.dirty_age = 0s;
    hypervisor_.load = [&] {
      GuestLoad load = load_;
      const bool again = hypervisor_.measured.size() == 2;
      load.dirty_rate = BytesPerSecond{mib(again ? row.longer : row.once).bytes};
      return load;
    };
    load_.dirty_age = 20s;  // libvirt's figure is of another time: it is measured anew
    world_->forecaster->begin(*world_, plan_.request);
    load_.dirty_age = 0s;
    const auto forecast = world_->forecaster->make(*world_, plan_);
    ASSERT_TRUE(forecast);
    EXPECT_EQ(hypervisor_.measured.size(), 2u);
    EXPECT_EQ(forecast->dirty_rate.value_or(BytesPerSecond{}).value, mib(row.rate).bytes);
    EXPECT_EQ(forecast->dirty_set, mib(row.set));
    // What was found stays, though libvirt tells of the longer look alone.
    plan_.request.hurry = true;
    EXPECT_EQ(made().dirty_set, mib(row.set));
    EXPECT_EQ(made().dirty_rate.value_or(BytesPerSecond{}).value, mib(row.rate).bytes);
    plan_.request.hurry = false;
  }
}

// docs/forecast.md, "In a hurry".
TEST_F(ForecasterTest, InAHurryNoGuestIsWaitedFor) {
  load_.dirty_rate.reset();
  plan_.request.hurry = true;
  int looks = 0;
  hypervisor_.load = [&] {
    ++looks;
    return load_;
  };
  const Forecast forecast = made();
  EXPECT_EQ(looks, 2) << "one of begin(), one of make(): nobody looks again and again";
  EXPECT_TRUE(hypervisor_.measured.empty());
  EXPECT_FALSE(forecast.dirty_rate);
  EXPECT_EQ(forecast.memory, mib(200)) << "what QEMU holds it says at once";
  EXPECT_TRUE(std::ranges::any_of(forecast.notes, [](const std::string& note) {
    return note.contains("How much memory web01 changes is not known, and was not waited for");
  }));
  const StrategyForecast& own = forecast.strategies.front();
  EXPECT_GE(own.most, own.likely * 139 / 100);
  EXPECT_LT(own.converges_percent, 99u);
}

TEST_F(ForecasterTest, InAHurryNoDiskIsMeasuredAndTheWayOnce) {
  std::ofstream(plan_.placements[0].source_path) << std::string(1 << 20, 'x');
  plan_.request.hurry = true;
  Forecast forecast = made();
  EXPECT_FALSE(peer_.addresses.empty()) << "nobody knows how fast it is";
  EXPECT_GT(forecast.link_rate.value, 0u);
  EXPECT_EQ(forecast.read_rate.value, 0u);
  EXPECT_TRUE(forecast.notes.empty());
  const std::size_t once = peer_.verbs.size();
  EXPECT_EQ(made().link_rate.value, forecast.link_rate.value);
  EXPECT_EQ(peer_.verbs.size(), once);

  plan_.request.hurry = false;  // somebody reads it, and what is measured is known from then on
  peer_.reply.write = {77'000'000};
  const Forecast read = made();
  const std::size_t asked = peer_.verbs.size();
  plan_.request.hurry = true;
  forecast = made();
  EXPECT_EQ(peer_.verbs.size(), asked);
  EXPECT_EQ(forecast.link_rate.value, read.link_rate.value);
  EXPECT_EQ(forecast.read_rate.value, read.read_rate.value);
  EXPECT_EQ(forecast.write_rate.value, 77'000'000u);
  EXPECT_TRUE(forecast.notes.empty());
}

TEST_F(ForecasterTest, InAHurryTheDestinationIsAskedOnlyWhatItHolds) {
  peer_.reply.held_disks = mib(90);
  Forecast before;
  before.strategies.emplace_back().strategy = "compress";
  before.link_rate = {33'000'000};
  plan_.made_at = std::chrono::system_clock::now();
  write_move(before);
  plan_.request.hurry = true;
  plan_.findings = {{"RESIDUE_USED", FindingLevel::kNote, "web01", "It is there.", "", {}}};
  EXPECT_EQ(made().spared, mib(90));
  EXPECT_EQ(peer_.verbs, std::vector<std::string>{"measure"});
  EXPECT_TRUE(peer_.addresses.empty());
  ASSERT_EQ(peer_.questions.size(), 1u);
  const auto question = measure_request_from_json(peer_.questions[0]);
  ASSERT_TRUE(question);
  EXPECT_TRUE(question->folders.empty()) << "so no disk is tried";
}

TEST_F(ForecasterTest, InAHurryAGuestThatWasMeasuredBeforeIsAsItWas) {
  load_.dirty_age = 3min;
  plan_.request.hurry = true;
  world_->forecaster->begin(*world_, plan_.request);
  load_.dirty_rate.reset();
  load_.measuring = true;
  const auto forecast = world_->forecaster->make(*world_, plan_);
  ASSERT_TRUE(forecast && forecast->dirty_rate);
  EXPECT_EQ(forecast->dirty_rate->value, mib(3).bytes);
  EXPECT_NEAR(static_cast<double>(forecast->dirty_age.count()), 180'000, 5'000);
  load_.measuring = false;
  load_.dirty_rate = BytesPerSecond{mib(7).bytes};
  load_.dirty_age = 3h;
  const auto later = world_->forecaster->make(*world_, plan_);
  ASSERT_TRUE(later && later->dirty_rate);
  EXPECT_EQ(later->dirty_rate->value, mib(7).bytes) << "an old figure is better than none";
  EXPECT_GE(later->dirty_age, 3h);
}

TEST_F(ForecasterTest, WhereSomebodyReadsThePlanTheNewFigureIsWaitedFor) {
  load_.dirty_age = 3min;
  world_->forecaster->begin(*world_, plan_.request);
  int looks = 0;
  hypervisor_.load = [&] {
    GuestLoad load = load_;
    load.dirty_age = 1s;
    load.dirty_rate = BytesPerSecond{mib(7).bytes};
    if (++looks < 5) load.dirty_rate.reset();
    return load;
  };
  const auto forecast = world_->forecaster->make(*world_, plan_);
  ASSERT_TRUE(forecast && forecast->dirty_rate);
  EXPECT_EQ(forecast->dirty_rate->value, mib(7).bytes);
}

TEST_F(ForecasterTest, AFigureOfAFormerQemuIsForgotten) {
  load_.dirty_age = 1s;
  EXPECT_TRUE(made().dirty_rate);
  load_.dirty_rate.reset();  // it was shut off, and started again
  plan_.request.hurry = true;
  EXPECT_FALSE(made().dirty_rate);
}

TEST_F(ForecasterTest, TheHostsOwnLimitIsWrittenDown) {
  ASSERT_TRUE(book_->change_settings({{"bandwidth", SettingChange::Op::kSet, "10M"}}));
  plan_.request.measure = false;
  EXPECT_EQ(made().bandwidth.value, mib(10).bytes);
  plan_.request.bandwidth = {2'000'000};
  EXPECT_EQ(made().bandwidth.value, 2'000'000u);
}

TEST_F(ForecasterTest, ThoseThatAreNotToBeMeasuredAreLeftAlone) {
  plan_.request.measure = false;
  hypervisor_.set_answering(false);
  const Forecast forecast = made();
  EXPECT_TRUE(peer_.verbs.empty());
  EXPECT_EQ(forecast.link_rate.value, 0u);
  EXPECT_EQ(forecast.notes.size(), 1u);
  EXPECT_GT(forecast.strategies.front().likely.count(), 0);
}

TEST_F(ForecasterTest, APlanThatCannotBeCarriedOutHasNone) {
  plan_.findings = {{"CODE", FindingLevel::kBlocker, "web01", "It is so.", "", {}}};
  EXPECT_FALSE(world_->forecaster->make(*world_, plan_));
  EXPECT_TRUE(peer_.verbs.empty());
}

TEST_F(ForecasterTest, TheWayIsMeasuredWhereLinksWillGo) {
  plan_.networks = {{"10.1.0.0/24", "10.1.0.1", "10.1.0.2"},
                    {"10.2.0.0/24", "10.2.0.1", "10.2.0.2"}};
  const Forecast forecast = made();
  EXPECT_NE(std::ranges::find(peer_.addresses, "10.1.0.2"), peer_.addresses.end());
  EXPECT_NE(std::ranges::find(peer_.addresses, "10.2.0.2"), peer_.addresses.end());
  EXPECT_EQ(std::ranges::find(peer_.addresses, ""), peer_.addresses.end());
  EXPECT_GT(static_cast<double>(forecast.link_rate.value), kLink) << "of both together";
  const std::size_t asked = peer_.addresses.size();
  (void)made();
  EXPECT_EQ(peer_.addresses.size(), asked) << "what was measured a moment ago is used again";
}

TEST_F(ForecasterTest, WhatIsHeldCountsLessWhatWasWrittenSince) {
  peer_.reply.held_disks = mib(90);
  peer_.reply.held_memory = mib(100);
  load_.disks_written = mib(30);
  const Forecast forecast = made();
  EXPECT_GT(forecast.spared, mib(60 + 50));
  EXPECT_LE(forecast.spared, mib(60 + 100));
  plan_.request.references = false;
  EXPECT_EQ(made().spared.bytes, 0u);
}

TEST_F(ForecasterTest, AHostThatDoesNotAnswerMakesItPoorerAndNoMore) {
  peer_.answers = false;
  load_.dirty_rate.reset();
  load_.memory_held = {};
  const Forecast forecast = made();
  EXPECT_EQ(forecast.link_rate.value, 0u);
  EXPECT_EQ(forecast.notes.size(), 2u);
  EXPECT_GT(forecast.strategies.front().likely.count(), 0);
}

TEST_F(ForecasterTest, MovesOfTheJournalAreLearntFrom) {
  write_move(made());
  const Forecast forecast = made();
  EXPECT_EQ(forecast.learnt_from, 1u);
  EXPECT_GT(forecast.strategies.front().likely, 15s);
}

// A droverd that was restarted meanwhile remembers no rate itself.
TEST_F(ForecasterTest, InAHurryAnEarlierMoveTellsOfTheWayAndOfTheGuest) {
  Forecast before;
  before.strategies.emplace_back().strategy = "compress";
  before.link_rate = {33'000'000};
  plan_.made_at = std::chrono::system_clock::now() - 2h;
  write_move(before);
  load_.dirty_rate.reset();
  plan_.request.hurry = true;
  const Forecast forecast = made();
  EXPECT_TRUE(peer_.verbs.empty());
  EXPECT_EQ(forecast.link_rate.value, 33'000'000u);
  EXPECT_NEAR(static_cast<double>(forecast.link_age.count()), 7'200'000, 5'000);
  EXPECT_EQ(forecast.dirty_rate.value_or(BytesPerSecond{}).value, 6'000'000u);
  EXPECT_TRUE(forecast.notes.empty()) << forecast.notes.front();
  plan_.networks[0].destination_address = "10.0.0.3";
  EXPECT_NE(made().link_rate.value, 33'000'000u) << "another way";
}

TEST_F(ForecasterTest, AStorageMoveAsksNobodyElse) {
  std::ofstream(plan_.placements[0].source_path) << std::string(1 << 20, 'x');
  plan_.kind = MoveKind::kStorage;
  plan_.placements[0].destination_path = (folder_ / "there" / "web01.qcow2").string();
  fs::create_directory(folder_ / "there");
  const Forecast forecast = made();
  EXPECT_TRUE(peer_.verbs.empty());
  EXPECT_EQ(forecast.strategies.size(), 1u);
  EXPECT_EQ(forecast.strategies[0].wire.bytes, 0u);
}

// The destination's side of it: its administrator's folders are all that is tried.
TEST_F(ForecasterTest, OnlyAllowedFoldersAreWrittenTo) {
  const std::string folder = (folder_ / "images").string();
  fs::create_directory(folder);
  EXPECT_EQ(measure_here(*world_, "host2", {kUuid, {folder}, 0}).write.value, 0u);
  ASSERT_TRUE(book_->change_settings({{"allowed-folders", SettingChange::Op::kAdd, folder}}));
  const MeasureReply reply = measure_here(*world_, "host2", {kUuid, {folder, "/proc"}, 0});
  EXPECT_EQ(reply.held_disks.bytes, 0u);
  EXPECT_EQ(reply.held_memory.bytes, 0u);
  EXPECT_TRUE(fs::is_empty(folder));
  // Nobody can have this host write without end: what was measured is kept, by device.
  struct stat before{}, after{};
  ASSERT_EQ(::stat(folder.c_str(), &before), 0);
  const std::string inner = folder + "/inner";
  EXPECT_EQ(measure_here(*world_, "host2", {kUuid, {folder}, 0}).write.value, reply.write.value);
  ASSERT_EQ(::stat(folder.c_str(), &after), 0);
  fs::create_directory(inner);
  EXPECT_EQ(measure_here(*world_, "host2", {kUuid, {inner}, 0}).write.value, reply.write.value);
  fs::remove(inner);
  const fs::path link = folder_ / "images/link";
  fs::create_directory_symlink("/tmp", link);
  EXPECT_EQ(measure_here(*world_, "host2", {"", {link.string()}, 0}).write.value, 0u);
}

}  // namespace
}  // namespace drover::move
