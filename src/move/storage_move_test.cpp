// SPDX-License-Identifier: Apache-2.0
// Storage moves on the fake hypervisor, with images that are files: how each ends, whatever
// happens in between.
#include "move/storage_move.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/random.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/fake/fake.h"
#include "move/move_test_support.h"

namespace drover::move {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using fake::CopyStep;

constexpr const char* kUuid = "6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab";
enum class VmIs { kRunning, kOff };

class NoPeer final : public net::PeerTransport {
 public:
  Result<std::string> call(std::string_view, std::string_view, std::string_view,
                           Deadline) override {
    return fail(ErrorCode::kUnavailable, "A storage move asks nobody.");
  }
};

// One host with one VM of two disks, which shall move from old/ to new/.
class StorageScene {
 public:
  explicit StorageScene(VmIs state) {
    for (const char* name : {"records", "old", "new"}) EXPECT_TRUE(make_folder(root_ / name, 0700));
    database_ = *journal::Database::open(root_ / "drover.db");
    journal_.emplace(*journal::MoveJournal::open(*database_));
    book_ = *journal::HostBook::open(*database_);
    EXPECT_TRUE(
        book_->change_settings({{"allowed-folders", SettingChange::Op::kSet, root_.string()},
                                {"default-folder", SettingChange::Op::kSet, root_.string()}}));
    records_.emplace(*gate::RecordFolder::open(root_ / "records", "test"));
    world_.emplace(World{hypervisor, *journal_, *book_, peer_, *records_, carriage_, slots_,
                         bandwidth_, "host1", "00"});
    for (const char* target : {"vda", "vdb"}) add_disk(target);
    EXPECT_TRUE(hypervisor.define(definition()));
    if (state == VmIs::kRunning) {
      EXPECT_TRUE(hypervisor.start(kUuid));
    }
    job.move.id = job.move.epoch = "k3f9x2qa";
    job.move.source = job.move.destination = "host1";
    Plan& plan = job.move.plan;
    plan.kind = MoveKind::kStorage;
    plan.vm = *hypervisor.find_vm(kUuid);
    plan.request.kind = MoveKind::kStorage;
    plan.request.vm = kUuid;
    plan.request.retries = 0;  // each test sees the end of its attempt
    plan.request.disks_to = (root_ / "new").string();
    plan.made_at = std::chrono::system_clock::now();
  }
  ~StorageScene() {
    world_.reset();
    database_.reset();
    fs::remove_all(root_);
  }
  StorageScene(const StorageScene&) = delete;
  StorageScene& operator=(const StorageScene&) = delete;

  std::string old_path(const std::string& target) { return (root_ / "old" / target).string(); }
  std::string new_path(const std::string& target) { return (root_ / "new" / target).string(); }
  bool is_kept(const std::string& target) {
    return fs::exists(quarantine_path(old_path(target), "k3f9x2qa")) &&
           !fs::exists(old_path(target));
  }
  std::size_t new_files() {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(root_ / "new"), fs::directory_iterator()));
  }
  // What both definitions have, which must be the same.
  std::string path_of(const std::string& target) {
    std::string live;
    for (const auto kind : {DefinitionKind::kLive, DefinitionKind::kPersistent}) {
      const auto facts = parse_domain(*hypervisor.definition(kUuid, kind));
      for (const auto& disk : facts->disks) {
        if (disk.disk.target != target) continue;
        if (kind == DefinitionKind::kLive) live = disk.disk.path;
        EXPECT_EQ(disk.disk.path, live) << "the persistent definition says something else";
      }
    }
    return live;
  }

  Move run(void (MoveWork::*how)(std::stop_token) = &MoveWork::run, MoveListener listener = {},
           std::stop_token stop = {}) {
    if (!listener) listener = [](MoveChange, const Move&) {};
    const auto work = make_move_work(*world_, job, std::move(listener));
    ((*work).*how)(std::move(stop));
    return work->snapshot();
  }
  // As a droverd that comes after one that was killed.
  Move resume() {
    if (const auto text = journal_->job(journal::Side::kSource, job.move.id))
      job = *source_job_from_json(*text);
    return job.move.state == MoveState::kRunning ? run(&MoveWork::resume) : job.move;
  }
  std::size_t open_jobs() { return journal_->open_jobs(journal::Side::kSource)->size(); }
  std::size_t places_used() { return slots_.used(Slots::Way::kStorage); }
  std::size_t quarantined() { return journal_->quarantine()->size(); }
  World& world() { return *world_; }

  fake::FakeHypervisor hypervisor{{}};
  SourceJob job;

 private:
  void add_disk(const std::string& target) {
    DiskPlacement placement{target, old_path(target), old_path(target), "raw",
                            mib(8), kib(64),          ByteCount{},      false};
    const std::vector<std::string> allowed{root_.string()};
    EXPECT_TRUE(create_image(placement, allowed));
    std::ofstream(old_path(target), std::ios::in | std::ios::binary) << "content of " << target;
    placement.destination_path = new_path(target);
    job.move.plan.placements.push_back(placement);
  }
  std::string definition() {
    std::string disks;
    for (const char* target : {"vda", "vdb"}) {
      disks += fmt::format(
          "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{}'/>"
          "<target dev='{}'/></disk>",
          old_path(target), target);
    }
    return fmt::format(
        "<domain type='kvm'><name>web01</name><uuid>{}</uuid><memory unit='MiB'>512</memory>"
        "<devices>{}</devices></domain>",
        kUuid, disks);
  }

  const fs::path root_ = fs::temp_directory_path() / ("drover-storage-" + random_name(8));
  NoPeer peer_;
  ScriptedCarriage carriage_;
  Slots slots_;
  Bandwidth bandwidth_;
  std::unique_ptr<journal::Database> database_;
  std::optional<journal::MoveJournal> journal_;
  std::unique_ptr<journal::HostBook> book_;
  std::optional<gate::RecordFolder> records_;
  std::optional<World> world_;
};

void expect_moved(StorageScene& scene, const Move& move) {
  EXPECT_EQ(move.state, MoveState::kDone) << (move.error ? move.error->text() : "");
  for (const char* target : {"vda", "vdb"}) {
    EXPECT_EQ(scene.path_of(target), scene.new_path(target));
    EXPECT_TRUE(fs::exists(scene.new_path(target)));
    EXPECT_TRUE(scene.is_kept(target));
  }
  EXPECT_EQ(scene.quarantined(), 2u);
  EXPECT_EQ(scene.open_jobs(), 0u);
  EXPECT_EQ(scene.places_used(), 0u);
}

void expect_as_before(StorageScene& scene, const Move& move, MoveState state) {
  EXPECT_EQ(move.state, state);
  EXPECT_TRUE(move.error);
  for (const char* target : {"vda", "vdb"}) {
    EXPECT_EQ(scene.path_of(target), scene.old_path(target));
    EXPECT_TRUE(fs::exists(scene.old_path(target)));
  }
  EXPECT_EQ(scene.new_files(), 0u);
  EXPECT_EQ(scene.quarantined(), 0u);
  EXPECT_EQ(scene.open_jobs(), 0u);
  EXPECT_EQ(scene.places_used(), 0u);
}

TEST(StorageMove, TakesTheDisksOfARunningVm) {
  StorageScene scene(VmIs::kRunning);
  const Move move = scene.run();
  expect_moved(scene, move);
  EXPECT_TRUE(move.report);
  EXPECT_EQ(scene.hypervisor.run_state(kUuid)->kind, RunState::Kind::kRunning);
}

TEST(StorageMove, TakesTheDisksOfAVmThatIsOff) {
  StorageScene scene(VmIs::kOff);
  expect_moved(scene, scene.run());
  std::ifstream copy(scene.new_path("vdb"));
  std::string first(14, ' ');
  copy.read(first.data(), 14);
  EXPECT_EQ(first, "content of vdb");
}

TEST(StorageMove, KeepsTheDisksOfAVmThatIsOffFromBeingWritten) {
  StorageScene scene(VmIs::kOff);
  bool seen = false;
  const auto listener = [&](MoveChange, const Move& move) {
    if (move.phase != Phase::kCopyDisks) return;
    // As a QEMU that is started: it must not find the image free.
    const UniqueFd image(::open(scene.old_path("vda").c_str(), O_RDWR | O_CLOEXEC));
    struct flock lock{};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = gate::kFenceByte;
    lock.l_len = 1;
    ASSERT_EQ(::fcntl(image.get(), F_OFD_GETLK, &lock), 0);
    EXPECT_NE(lock.l_type, F_UNLCK);
    seen = true;
  };
  expect_moved(scene, scene.run(&MoveWork::run, listener));
  EXPECT_TRUE(seen);
}

TEST(StorageMove, LeavesNothingWhenItIsCancelled) {
  StorageScene scene(VmIs::kRunning);
  std::atomic<bool> copying{false};
  scene.hypervisor.at_copy = [&](CopyStep step, const std::string&) -> Status {
    if (step != CopyStep::kReady) return {};
    copying = true;
    return fail(ErrorCode::kUnavailable, "not yet");
  };
  const auto work = make_move_work(scene.world(), scene.job, [](MoveChange, const Move&) {});
  std::jthread thread([&](std::stop_token stop) { work->run(std::move(stop)); });
  for (int i = 0; i < 10'000 && !copying; ++i) std::this_thread::sleep_for(1ms);
  ASSERT_TRUE(copying);
  EXPECT_TRUE(work->cancel());
  thread.join();
  expect_as_before(scene, work->snapshot(), MoveState::kCancelled);
  EXPECT_EQ(scene.hypervisor.disk_copy(kUuid, "vda")->state, DiskCopy::State::kNone);
  EXPECT_FALSE(work->cancel()) << "it has ended";
  EXPECT_FALSE(work->converge({}));
}

TEST(StorageMove, IsUndoneWhenQemuGivesUp) {
  StorageScene scene(VmIs::kRunning);
  scene.hypervisor.at_copy = [](CopyStep step, const std::string& target) -> Status {
    if (step == CopyStep::kReady && target == "vdb") return fail(ErrorCode::kHypervisor, "full");
    return {};
  };
  const Move move = scene.run();
  expect_as_before(scene, move, MoveState::kFailed);
  EXPECT_EQ(scene.hypervisor.disk_copy(kUuid, "vda")->state, DiskCopy::State::kNone);
}

TEST(StorageMove, WaitsForItsTurnAgainWhenTheReasonMayPass) {
  StorageScene scene(VmIs::kRunning);
  scene.job.move.plan.request.retries = 1;
  scene.hypervisor.at_copy = [](CopyStep step, const std::string& target) -> Status {
    if (step == CopyStep::kBegin && target == "vdb") return fail(ErrorCode::kTimeout, "slow");
    return {};
  };
  auto work = make_move_work(scene.world(), scene.job, [](MoveChange, const Move&) {});
  work->run({});
  ASSERT_TRUE(work->waits_again());
  const Move waits = work->snapshot();
  EXPECT_EQ(waits.state, MoveState::kRunning);
  EXPECT_EQ(waits.phase, Phase::kPlan);
  ASSERT_EQ(waits.attempts.size(), 1u);
  EXPECT_EQ(waits.attempts[0].error.code, ErrorCode::kTimeout);
  ASSERT_TRUE(waits.queue);
  EXPECT_GT(waits.queue->not_before, std::chrono::system_clock::now());
  EXPECT_EQ(scene.new_files(), 0u);
  EXPECT_EQ(scene.places_used(), 0u);
  EXPECT_EQ(scene.open_jobs(), 1u);
  // As often as it was asked for; and a droverd that was killed meanwhile has it from the journal.
  scene.job =
      *source_job_from_json(scene.world().journal.open_jobs(journal::Side::kSource)->front());
  const Move over = scene.run();
  expect_as_before(scene, over, MoveState::kFailed);
  EXPECT_EQ(over.attempts.size(), 1u);
}

TEST(StorageMove, IsUndoneWhenTheVmIsShutOffMeanwhile) {
  StorageScene scene(VmIs::kRunning);
  scene.hypervisor.at_copy = [](CopyStep step, const std::string&) -> Status {
    if (step == CopyStep::kReady) return fail(ErrorCode::kUnavailable, "not yet");
    return {};
  };
  std::jthread user([&] {
    while (scene.hypervisor.disk_copy(kUuid, "vda")->state == DiskCopy::State::kNone)
      std::this_thread::sleep_for(1ms);
    EXPECT_TRUE(scene.hypervisor.destroy(kUuid));
  });
  const Move move = scene.run();
  user.join();
  expect_as_before(scene, move, MoveState::kFailed);
  EXPECT_NE(move.error->message.find("shut off"), std::string::npos) << move.error->text();
}

TEST(StorageMove, EndsWhenTheVmIsNotAsThePlanHadIt) {
  StorageScene scene(VmIs::kOff);
  EXPECT_TRUE(scene.hypervisor.start(kUuid));
  const Move move = scene.run();
  expect_as_before(scene, move, MoveState::kFailed);
  EXPECT_EQ(move.error->retry, Retry::kNow);
}

TEST(StorageMove, SaysWhichDisksMovedWhenQemuRefusesOne) {
  StorageScene scene(VmIs::kRunning);
  scene.hypervisor.at_copy = [](CopyStep step, const std::string& target) -> Status {
    if (step == CopyStep::kSwitch && target == "vdb") return fail(ErrorCode::kHypervisor, "no");
    return {};
  };
  const Move move = scene.run();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_EQ(scene.path_of("vda"), scene.new_path("vda"));
  EXPECT_EQ(scene.path_of("vdb"), scene.old_path("vdb"));
  EXPECT_TRUE(scene.is_kept("vda"));
  EXPECT_TRUE(fs::exists(scene.old_path("vdb")));
  EXPECT_EQ(scene.new_files(), 1u) << "the copy of vdb is removed";
  EXPECT_NE(move.explanation.find(scene.old_path("vdb")), std::string::npos) << move.explanation;
  EXPECT_EQ(scene.open_jobs(), 0u);
}

TEST(StorageMove, NeverReplacesAFile) {
  StorageScene scene(VmIs::kRunning);
  std::ofstream(scene.new_path("vdb")) << "another VM's";
  const Move move = scene.run();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_EQ(move.error->code, ErrorCode::kConflict);
  EXPECT_EQ(*read_file(scene.new_path("vdb")), "another VM's");
  EXPECT_FALSE(fs::exists(scene.new_path("vda")));
}

// The VM's QEMU was told to switch, and then both droverd and the VM ended.
TEST(StorageMove, ParksWhatNobodyKnows) {
  StorageScene scene(VmIs::kRunning);
  std::ofstream(scene.new_path("vda"));
  EXPECT_TRUE(scene.hypervisor.destroy(kUuid));
  scene.job.move.phase = Phase::kSwitch;
  scene.job.begun = {"vda", "vdb"};
  scene.job.switched = {"vda"};
  scene.job.created = {{"vda", scene.new_path("vda"), 1, 2}};
  const Move move = scene.run(&MoveWork::resume);
  EXPECT_EQ(move.state, MoveState::kParked);
  EXPECT_TRUE(fs::exists(scene.new_path("vda")) && fs::exists(scene.old_path("vda")));
  EXPECT_NE(move.explanation.find("domblklist"), std::string::npos);
}

// droverd ends at each change of the journal in turn; the next one takes the move up.
class StorageMoveCrash : public testing::TestWithParam<VmIs> {};

TEST_P(StorageMoveCrash, EndsAsItShouldWhereverDroverdDied) {
  int undone = 0;
  for (int at = 0; at < 60; ++at) {
    SCOPED_TRACE(at);
    StorageScene scene(GetParam());
    int changes = 0;
    std::stop_source stop;
    const auto listener = [&](MoveChange change, const Move&) {
      if (change != MoveChange::kProgress && changes++ == at) stop.request_stop();
    };
    const Move first = scene.run(&MoveWork::run, listener, stop.get_token());
    const bool ended = first.state != MoveState::kRunning;
    const Move last = ended ? first : scene.resume();
    // Off, and the definition not written yet: nothing kept the VM from being started since.
    if (GetParam() == VmIs::kOff && last.state == MoveState::kFailed) {
      expect_as_before(scene, last, MoveState::kFailed);
      EXPECT_LE(++undone, 3) << "only in the phase switch";
    } else {
      expect_moved(scene, last);
    }
    if (ended && changes <= at) return;  // there are no more changes to die at
  }
  FAIL() << "it changes for ever";
}

INSTANTIATE_TEST_SUITE_P(Vm, StorageMoveCrash, testing::Values(VmIs::kRunning, VmIs::kOff),
                         [](const auto& tested) {
                           return tested.param == VmIs::kRunning ? "Running" : "Off";
                         });

}  // namespace
}  // namespace drover::move
