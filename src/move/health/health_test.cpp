// SPDX-License-Identifier: Apache-2.0
#include "move/health/health.h"

#include <limits>
#include <thread>

#include "hypervisor/fake/fake.h"
#include "json/model_json.h"
#include "move/health/health_watch.h"
#include "move/live/live_move_fixture.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr const char* kMac = "52:54:00:00:00:01";

GuestSigns signs(std::int64_t cpu_s, std::uint64_t received, std::uint64_t sent) {
  GuestSigns one;
  one.runs = true;
  one.state = "running";
  one.cpu_time = std::chrono::seconds(cpu_s);
  one.interfaces = {{kMac, "vnet0", "br0", true, true, true, received, sent}};
  return one;
}

Move arrived(const HealthBefore& before) {
  Move move;
  move.id = move.epoch = "k3f9x2qa";
  move.source = "host1";
  move.destination = "host2";
  move.plan.vm.name = "web01";
  move.plan.vm.uuid = kUuid;
  move.state = MoveState::kDone;
  move.runner = Runner::kDestination;
  move.health.emplace().before = before;
  return move;
}

std::vector<std::string> codes(const std::vector<Finding>& findings) {
  std::vector<std::string> found;
  for (const auto& finding : findings) found.push_back(finding.code);
  return found;
}

using Codes = std::vector<std::string>;

const HealthBefore kAll = before_of(signs(1, 10, 10), signs(2, 20, 20));

TEST(Health, OnlyWhatAnsweredBeforeIsMissed) {
  EXPECT_EQ(kAll.received, Codes{kMac});
  EXPECT_EQ(kAll.plugged, Codes{kMac});
  const HealthBefore silent = before_of(signs(1, 10, 10), signs(1, 10, 10));
  EXPECT_TRUE(silent.received.empty() && silent.sent.empty() && !silent.cpu_went_on);
  const GuestSigns still = signs(5, 0, 0);
  EXPECT_TRUE(judge_health(arrived(silent), still, still, 60s).empty());
  EXPECT_EQ(codes(judge_health(arrived(kAll), still, still, 60s)),
            (Codes{"HEALTH_CPU_STANDS", "HEALTH_NETWORK_SILENT"}));
}

TEST(Health, AGuestGetsTimeToAnswer) {
  const GuestSigns still = signs(5, 0, 0);
  EXPECT_TRUE(judge_health(arrived(kAll), still, still, 9s).empty());
  EXPECT_EQ(codes(judge_health(arrived(kAll), still, still, 19s)), Codes{"HEALTH_CPU_STANDS"});
}

TEST(Health, OneDirectionIsEnoughToBeMissed) {
  const auto only_sends = judge_health(arrived(kAll), signs(5, 0, 0), signs(6, 0, 9), 60s);
  ASSERT_EQ(codes(only_sends), Codes{"HEALTH_NETWORK_SILENT"});
  EXPECT_NE(only_sends[0].what.find("received nothing"), std::string::npos) << only_sends[0].what;
  EXPECT_EQ(only_sends[0].fixes.front(), "On host2: drover replug web01");
  EXPECT_TRUE(judge_health(arrived(kAll), signs(5, 0, 0), signs(6, 1, 9), 60s).empty());
}

TEST(Health, AnInterfaceOutsideItsBridgeIsSaidAtOnceAndAlone) {
  GuestSigns out = signs(6, 0, 9);
  out.interfaces[0].plugged = false;
  EXPECT_EQ(codes(judge_health(arrived(kAll), signs(5, 0, 0), out, 1s)),
            Codes{"HEALTH_NETWORK_UNPLUGGED"});
  EXPECT_EQ(codes(judge_health(arrived(kAll), signs(5, 0, 0), out, 60s)),
            Codes{"HEALTH_NETWORK_UNPLUGGED"});
}

TEST(Health, AVmThatIsOffAndASilentAgentAreSaid) {
  GuestSigns off;
  off.state = "shut off (crashed)";
  EXPECT_EQ(codes(judge_health(arrived(kAll), signs(5, 0, 0), off, 1s)), Codes{"HEALTH_STOPPED"});
  HealthBefore before = kAll;
  before.agent_answered = true;
  EXPECT_EQ(codes(judge_health(arrived(before), signs(5, 0, 0), signs(6, 1, 1), 30s)),
            Codes{"HEALTH_AGENT_SILENT"});
}

TEST(Health, AClockIsSetOnlyWhenItFellBehind) {
  HealthBefore before;
  GuestSigns now;
  EXPECT_FALSE(clock_to_set(before, now));
  before.clock_ahead_ms = 20;
  now.clock_ahead_ms = -5000;
  EXPECT_EQ(clock_to_set(before, now), 20);
  now.clock_ahead_ms = -900;
  EXPECT_FALSE(clock_to_set(before, now));
  now.clock_ahead_ms = 5000;
  EXPECT_FALSE(clock_to_set(before, now));
}

TEST(Health, TheAgentsWordMayBeAnything) {
  fake::FakeHypervisor hypervisor{{}};
  ASSERT_TRUE(hypervisor.define(std::string("<domain type='kvm'><name>web01</name><uuid>") + kUuid +
                                "</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type "
                                "arch='x86_64' machine='pc-q35-7.2'>hvm</type></os></domain>"));
  ASSERT_TRUE(hypervisor.start(kUuid));
  EXPECT_FALSE(signs_of(hypervisor, kUuid)->has_agent);
  std::string answer;
  hypervisor.agent = [&](const std::string&) { return answer; };
  for (const char* text : {"", "[]", "{}", R"({"return":"now"})", R"({"return":-9e99})",
                           R"({"return":-9223372036854775808})"}) {
    answer = text;
    const auto seen = signs_of(hypervisor, kUuid);
    ASSERT_TRUE(seen && seen->agent_answers) << text;
    EXPECT_FALSE(seen->clock_ahead_ms) << text;
  }
  answer = R"({"return":1000000000})";  // 1970: an hour wrong or fifty years, it is a number
  EXPECT_TRUE(signs_of(hypervisor, kUuid)->clock_ahead_ms);
  EXPECT_FALSE(set_guest_clock(hypervisor, kUuid, std::numeric_limits<std::int64_t>::min()));
  EXPECT_TRUE(set_guest_clock(hypervisor, kUuid, 20));
  answer = R"({"error":{"class":"CommandNotFound"}})";
  EXPECT_FALSE(set_guest_clock(hypervisor, kUuid, 20));
}

TEST(Health, TheDocumentHasEachCode) {
  const auto text = read_file(DROVER_SOURCE_ROOT "/docs/health.md");
  ASSERT_TRUE(text) << text.error().text();
  for (const char* code : {"HEALTH_STOPPED", "HEALTH_CPU_STANDS", "HEALTH_AGENT_SILENT",
                           "HEALTH_NETWORK_UNPLUGGED", "HEALTH_NETWORK_SILENT"}) {
    EXPECT_NE(text->find(std::string("### ") + code), std::string::npos) << code;
  }
}

// The watch: a job of the journal, and a destination that is asked.
class Watched : public LiveMoveSwitch {
 protected:
  void SetUp() override {
    LiveMoveSwitch::SetUp();
    job_.move = arrived(kAll);
    job_.move.health->since = kStart;
    job_.move.health->until = kStart + 60s;
    ASSERT_TRUE(journal_->save(journal::Side::kSource, job_.move.id, journal::JobState::kEnded,
                               to_json(job_)));
    QuarantinedDisk disk;
    disk.move_id = job_.move.id;
    disk.kept_path = "/images/web01.qcow2.drover-k3f9x2qa";
    disk.until = kStart + 24h;
    ASSERT_TRUE(journal_->add_quarantined(disk));
    watch_.emplace(*world_, [this](const Move& move) { told_.push_back(move); });
    watch_->begin(job_.move);
  }
  void look(const Result<std::string>& answer, std::chrono::seconds after) {
    peer_.signs = {answer};
    watch_->look(kStart + after);
  }
  Health kept() {
    const auto job = source_job_from_json(*journal_->job(journal::Side::kSource, "k3f9x2qa"));
    return *job->move.health;
  }

  const std::chrono::system_clock::time_point kStart{1'700'000'000s};
  std::vector<Move> told_;
  std::optional<HealthWatch> watch_;
};

TEST_F(Watched, AWellGuestIsLeftAloneInTheEnd) {
  look(json::to_json(signs(1, 0, 0)), 1s);
  look(json::to_json(signs(2, 1, 1)), 6s);
  EXPECT_EQ(kept().state, Health::State::kWatching);
  look(json::to_json(signs(9, 9, 9)), 61s);
  EXPECT_EQ(kept().state, Health::State::kWell);
  EXPECT_TRUE(journal_->quarantine()->front().until);
  const auto asked = peer_.signs_asked.size();
  look(json::to_json(signs(9, 9, 9)), 66s);
  EXPECT_EQ(peer_.signs_asked.size(), asked);
}

TEST_F(Watched, AnIllGuestIsSaidAndItsOldDisksStay) {
  look(json::to_json(signs(1, 0, 0)), 1s);
  look(json::to_json(signs(2, 0, 1)), 25s);
  EXPECT_EQ(codes(kept().findings), Codes{"HEALTH_NETWORK_SILENT"});
  EXPECT_EQ(told_.size(), 2u);
  look(json::to_json(signs(3, 0, 2)), 30s);
  EXPECT_EQ(told_.size(), 2u);  // nothing new
  look(json::to_json(signs(4, 0, 3)), 61s);
  EXPECT_EQ(kept().state, Health::State::kIll);
  EXPECT_FALSE(journal_->quarantine()->front().until);
}

TEST_F(Watched, WhatMendsIsWell) {
  look(json::to_json(signs(1, 0, 0)), 1s);
  look(json::to_json(signs(2, 0, 1)), 25s);
  look(json::to_json(signs(3, 5, 2)), 30s);
  EXPECT_TRUE(kept().findings.empty());
  look(json::to_json(signs(4, 6, 3)), 61s);
  EXPECT_EQ(kept().state, Health::State::kWell);
}

TEST_F(Watched, ALateFirstLookIsNoSilence) {
  look(json::to_json(signs(1, 0, 0)), 40s);
  look(json::to_json(signs(2, 0, 0)), 45s);
  EXPECT_TRUE(kept().findings.empty());
}

TEST_F(Watched, ADestinationThatIsSilentIsAskedToTheEndAndNothingIsClaimed) {
  const Result<std::string> silence = fail(ErrorCode::kUnavailable, "host2 does not answer.");
  look(silence, 1s);
  EXPECT_EQ(kept().state, Health::State::kWatching);
  look(silence, 61s);
  EXPECT_EQ(kept().state, Health::State::kUnknown);
  EXPECT_NE(kept().text.find("host2"), std::string::npos);
}

TEST_F(Watched, AnAnswerThatCannotBeReadIsNoHealth) {
  for (const char* text : {"", "{}", "[]", R"({"runs":1})"}) {
    told_.clear();
    watch_->begin(job_.move);
    look(std::string(text), 1s);
    ASSERT_EQ(told_.size(), 1u) << text;
    EXPECT_EQ(told_[0].health->state, Health::State::kUnknown) << text;
  }
}

TEST_F(Watched, ItIsFoundAgainAfterARestart) {
  watch_.emplace(*world_, [](const Move&) {});
  peer_.signs = {json::to_json(signs(1, 0, 0))};
  watch_->recover();
  while (!kept().first) std::this_thread::sleep_for(5ms);
  watch_->stop();
  EXPECT_EQ(kept().state, Health::State::kWatching);
}

TEST_F(Watched, AClockThatFellBehindIsSetOnce) {
  job_.move.health->before.clock_ahead_ms = 0;
  watch_->begin(job_.move);
  GuestSigns late = signs(1, 0, 0);
  late.clock_ahead_ms = -3000;
  look(json::to_json(late), 1s);
  look(json::to_json(signs(2, 1, 1)), 6s);
  EXPECT_NE(peer_.signs_asked.back().find("clock_ahead_ms"), std::string::npos);
  look(json::to_json(signs(3, 2, 2)), 11s);
  EXPECT_EQ(peer_.signs_asked.back().find("clock_ahead_ms"), std::string::npos);
}

}  // namespace
}  // namespace drover::move
