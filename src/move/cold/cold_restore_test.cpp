// SPDX-License-Identifier: Apache-2.0
// The guest of a quick move that comes back: it is restored from where it was saved, once, and only
// onto the disks that it was saved with.
#include "move/cold/cold_move_fixture.h"
#include "move/image_fence.h"

namespace drover::move {
namespace {

using Kind = Answer::Kind;
using Ran = Answer::Ran;

TEST_F(ColdMoveSwitch, AGuestIsRestoredWhereItWasSaved) {
  quick();
  record(gate::SourceState::kSwitching);
  answer({Kind::kGone, Ran::kNo, 0, "it never ran on host2"});
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_EQ(hypervisor_.restored, std::vector<std::string>{state_file_.string()});
  EXPECT_FALSE(std::filesystem::exists(state_file_));
}

TEST_F(ColdMoveSwitch, AGuestThatMayHaveRunIsNotRestoredAgain) {
  quick();
  job_.migrate_called = false;
  job_.restore_called = true;
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kParked);
  EXPECT_TRUE(hypervisor_.restored.empty());
  EXPECT_TRUE(std::filesystem::exists(state_file_)) << "it is all there is";
  EXPECT_TRUE(move.explanation.contains("virsh restore " + state_file_.string()))
      << move.explanation;
  EXPECT_EQ(asked(verb::kUndo), 1u) << "nothing of it is needed there";
}

TEST_F(ColdMoveSwitch, AGuestThatCannotBeRestoredIsNotLost) {
  quick();
  job_.migrate_called = false;
  hypervisor_.restore_says = fail(ErrorCode::kHypervisor, "No such machine.");
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kParked);
  EXPECT_TRUE(std::filesystem::exists(state_file_));
}

// Where its memory is stays said.
TEST_F(ColdMoveSwitch, CheckpointsDoNotHideHowAGuestIsRestored) {
  quick();
  job_.migrate_called = false;
  hypervisor_.restore_says = fail(ErrorCode::kHypervisor, "No such machine.");
  job_.checkpoints = {{"clean", "<domainsnapshot/>", true}};
  job_.checkpoints_forgotten = true;
  hypervisor_.knows = [asked = 0]() mutable -> Status {
    return ++asked < 2 ? fail(ErrorCode::kTimeout, "It is busy.") : Status{};
  };
  std::string told;
  const auto work = make_move_work(*world_, job_, [&](MoveChange, const Move& now) {
    if (now.explanation.contains("checkpoints back")) told = now.explanation;
  });
  work->resume(std::stop_token());
  const Move move = work->snapshot();
  EXPECT_TRUE(told.contains("virsh restore")) << told;
  EXPECT_FALSE(told.contains("as before")) << told;
  EXPECT_EQ(move.state, MoveState::kParked);
  EXPECT_EQ(hypervisor_.known.size(), 1u);
  EXPECT_TRUE(move.explanation.contains("virsh restore")) << move.explanation;
  EXPECT_FALSE(move.explanation.contains("checkpoints")) << move.explanation;
}

// libvirt resumed it by itself when the save was given up.
TEST_F(ColdMoveSwitch, AGuestThatRunsIsLeftAlone) {
  quick();
  job_.migrate_called = false;
  job_.undefined = false;
  hypervisor_.kind = RunState::Kind::kRunning;
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_TRUE(hypervisor_.restored.empty());
  EXPECT_FALSE(std::filesystem::exists(state_file_));
}

// Its guest shut it off before libvirt had saved it.
TEST_F(ColdMoveSwitch, HalfAStateIsNotRestored) {
  quick();
  job_.migrate_called = false;
  job_.undefined = false;
  hypervisor_.kind = RunState::Kind::kOff;
  std::ofstream(state_file_, std::ios::binary) << "LibvirtQemudPart";
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_TRUE(hypervisor_.restored.empty());
}

// droverd died while libvirt saved a paused guest: libvirt is told to end, and until it has ended
// its file is not touched.
TEST_F(ColdMoveSwitch, ASaveThatGoesOnIsAwaited) {
  quick();
  job_.migrate_called = job_.undefined = false;
  job_.move.plan.vm.state = VmState::kPaused;
  hypervisor_.kind = RunState::Kind::kMigratingOut;
  int looks = 0;
  hypervisor_.on_look = [&] {
    if (++looks > 4) hypervisor_.kind = RunState::Kind::kPaused;
    EXPECT_TRUE(looks > 4 || std::filesystem::exists(state_file_)) << "libvirt writes it";
  };
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_GE(hypervisor_.aborted, 3u);
  EXPECT_TRUE(hypervisor_.restored.empty());
  EXPECT_FALSE(std::filesystem::exists(state_file_));
}

TEST_F(ColdMoveSwitch, ALibvirtThatIsAwayIsAwaited) {
  quick();
  record(gate::SourceState::kSwitching);
  answer({Kind::kRefused, {}, 0, "host2 recorded a refusal"});
  int looks = 0;
  hypervisor_.silent = Error{ErrorCode::kUnavailable, Retry::kLater, "Nobody is there.", {}};
  hypervisor_.on_look = [&] {
    if (++looks == 4) hypervisor_.silent.reset();
  };
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_EQ(hypervisor_.restored.size(), 1u);
  EXPECT_TRUE(move.explanation.contains("runs on host1 as before")) << move.explanation;
}

// Whether it is whole cannot be seen: it may be the only memory there is.
TEST_F(ColdMoveSwitch, AStateThatCannotBeReadIsKept) {
  quick();
  job_.migrate_called = false;
  std::filesystem::remove(state_file_);
  std::filesystem::create_directory(state_file_);
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kParked);
  EXPECT_TRUE(hypervisor_.restored.empty());
  EXPECT_TRUE(std::filesystem::exists(state_file_));
  EXPECT_TRUE(move.explanation.contains(state_file_.string())) << move.explanation;
}

// While no droverd held the locks somebody started it, and shut it off again.
TEST_F(ColdMoveSwitch, AGuestWhoseDisksWereWrittenSinceIsNotRestored) {
  const auto image = give_disk();
  quick();
  job_.migrate_called = false;
  job_.saved_images = *stamp_images(job_.move.plan);
  std::ofstream(image) << "newer";
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kParked);
  EXPECT_TRUE(hypervisor_.restored.empty());
  EXPECT_TRUE(std::filesystem::exists(state_file_));
  EXPECT_TRUE(move.explanation.contains(image.string())) << move.explanation;
}

TEST_F(ColdMoveSwitch, ItsDisksMayHaveBeenWrittenBeforeItWasSaved) {
  give_disk();
  quick();
  job_.migrate_called = false;
  job_.saved_images = *stamp_images(job_.move.plan);
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_EQ(hypervisor_.restored.size(), 1u);
}

// droverd died before it could write down what they were: the saved state is the witness.
TEST_F(ColdMoveSwitch, ADiskThatIsNewerThanTheStateWasWrittenSince) {
  const auto image = give_disk();
  quick();
  job_.migrate_called = false;
  std::filesystem::last_write_time(
      image, std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  EXPECT_EQ(resume().state, MoveState::kParked);
  EXPECT_TRUE(hypervisor_.restored.empty());
}

TEST_F(ColdMoveSwitch, AnOlderDiskBelongsToTheState) {
  give_disk();
  quick();
  job_.migrate_called = false;
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_EQ(hypervisor_.restored.size(), 1u);
}

// No lock and no time of the last write shows whether it ran while no droverd was there.
TEST_F(ColdMoveSwitch, ANetworkDiskThatNobodyWatchedKeepsTheGuestFromBeingRestored) {
  const std::string uri = "nbd://10.0.0.9:10809/web01";
  quick();
  job_.move.plan.placements = {{"vda", uri, uri, "raw", mib(1), mib(1), {}, true}};
  job_.migrate_called = job_.undefined = false;
  hypervisor_.kind = RunState::Kind::kOff;
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kParked);
  EXPECT_TRUE(hypervisor_.restored.empty());
  EXPECT_TRUE(std::filesystem::exists(state_file_));
  EXPECT_TRUE(move.explanation.contains(state_file_.string())) << move.explanation;
  EXPECT_TRUE(move.explanation.contains(uri)) << move.explanation;
}

TEST_F(ColdMoveSwitch, AGuestThatWasSeenRunningSinceIsNotRestored) {
  quick();
  job_.migrate_called = job_.undefined = false;
  hypervisor_.kind = RunState::Kind::kRunning;
  hypervisor_.on_look = [&, looks = 0]() mutable {
    if (++looks == 2) hypervisor_.kind = RunState::Kind::kOff;
  };
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kParked);
  EXPECT_TRUE(hypervisor_.restored.empty());
  EXPECT_TRUE(std::filesystem::exists(state_file_));
}

// Nothing is there to be saved a second time.
TEST_F(ColdMoveSwitch, AGuestThatWasShutOffIsSaidToBeOff) {
  quick();
  job_.move.plan.request.retries = 3;
  job_.migrate_called = job_.undefined = false;
  hypervisor_.kind = RunState::Kind::kOff;
  std::filesystem::remove(state_file_);
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kFailed) << "it is not tried again";
  EXPECT_TRUE(move.explanation.contains("is off on host1")) << move.explanation;
}

}  // namespace
}  // namespace drover::move
