// SPDX-License-Identifier: Apache-2.0
// Storage moves on the fake hypervisor, with images that are files: how each ends, whatever
// happens in between.
#include "move/storage/storage_move.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "move/plan/planner.h"
#include "move/storage/storage_move_fixture.h"

namespace drover::move {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using fake::CopyStep;

constexpr const char* kUuid = kStorageUuid;

void expect_moved(StorageScene& scene, const Move& move) {
  EXPECT_EQ(move.state, MoveState::kDone) << (move.error ? move.error->text() : "");
  for (const char* target : {"vda", "vdb"}) {
    EXPECT_EQ(scene.path_of(target), scene.new_path(target));
    if (scene.job.move.plan.vm.saved) {
      EXPECT_EQ(scene.path_in_memory(target), scene.new_path(target));
    }
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
    if (scene.job.move.plan.vm.saved) {
      EXPECT_EQ(scene.path_in_memory(target), scene.old_path(target));
    }
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

// Somebody's qemu-nbd, say, that libvirt knows nothing of.
TEST(StorageMove, LeavesAVmAloneWhoseDisksAQemuMayWrite) {
  StorageScene scene(VmIs::kOff);
  const UniqueFd image(::open(scene.old_path("vda").c_str(), O_RDWR | O_CLOEXEC));
  struct flock lock{};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = gate::kWriterByte;
  lock.l_len = 1;
  ASSERT_EQ(::fcntl(image.get(), F_OFD_SETLK, &lock), 0);
  const Move move = scene.run();
  EXPECT_EQ(move.state, MoveState::kFailed);
  ASSERT_TRUE(move.error);
  EXPECT_EQ(move.error->code, ErrorCode::kConflict);
  EXPECT_TRUE(move.error->text().contains("open for writing")) << move.error->text();
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

// Its guest goes on with the new images, and the plan says so.
TEST(StorageMove, KeptMemoryGoesOnWithTheNewImages) {
  StorageScene scene(VmIs::kSaved);
  const auto plan = plan_move(scene.world(), scene.job.move.plan.request);
  ASSERT_TRUE(plan) << plan.error().text();
  const auto note = std::ranges::find(plan->plan.findings, "VM_SAVED", &Finding::code);
  ASSERT_NE(note, plan->plan.findings.end());
  EXPECT_EQ(note->level, FindingLevel::kNote);
  expect_moved(scene, scene.run());
  EXPECT_TRUE(scene.hypervisor.find_vm(kUuid)->saved);
}

TEST(StorageMove, KeptMemoryIsAsBeforeWhenLibvirtRefusesTheDefinition) {
  StorageScene scene(VmIs::kSaved);
  scene.hypervisor.at_define = [] { return fail(ErrorCode::kHypervisor, "no"); };
  expect_as_before(scene, scene.run(), MoveState::kFailed);
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
    if (GetParam() != VmIs::kRunning && last.state == MoveState::kFailed) {
      expect_as_before(scene, last, MoveState::kFailed);
      EXPECT_LE(++undone, 3) << "only in the phase switch";
    } else {
      expect_moved(scene, last);
    }
    if (ended && changes <= at) return;  // there are no more changes to die at
  }
  FAIL() << "it changes for ever";
}

INSTANTIATE_TEST_SUITE_P(Vm, StorageMoveCrash,
                         testing::Values(VmIs::kRunning, VmIs::kOff, VmIs::kSaved),
                         [](const auto& tested) {
                           return tested.param == VmIs::kRunning ? "Running"
                                  : tested.param == VmIs::kOff   ? "Off"
                                                                 : "Saved";
                         });

}  // namespace
}  // namespace drover::move
