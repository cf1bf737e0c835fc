// SPDX-License-Identifier: Apache-2.0
// A quick or offline move at its source, from its switch on, with a scripted destination; and the
// way back.
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "base/random.h"
#include "hypervisor/disk_image.h"
#include "move/cold/cold_files.h"
#include "move/image_fence.h"
#include "move/live/live_move_fixture.h"

namespace drover::move {
namespace {

class ColdMoveSwitch : public LiveMoveSwitch {
 protected:
  void SetUp() override {
    LiveMoveSwitch::SetUp();
    job_.move.plan.kind = MoveKind::kOffline;
    job_.move.plan.vm.state = VmState::kOff;
    job_.undefined = true;
    job_.persistent_xml = "<domain/>";
    hypervisor_.kind = RunState::Kind::kAbsent;
    state_file_ = carriage_.state_file({"k3f9x2qa", "k3f9x2qa", "web01", kUuid});
    std::filesystem::create_directories(state_file_.parent_path());
  }
  void quick() {
    job_.move.plan.kind = MoveKind::kQuick;
    job_.move.plan.vm.state = VmState::kRunning;
    job_.save_called = true;
    std::string head(kStateHeadLeast, '\0');
    head.replace(0, 16, "LibvirtQemudSave");
    head[20] = 4;
    std::ofstream(state_file_, std::ios::binary) << head << "<d/>memory";
  }
  Move resume() {
    const auto move = make_move_work(*world_, job_, [](MoveChange, const Move&) {});
    move->resume(std::stop_token());
    return move->snapshot();
  }
  // What was taken out of its guest for the move.
  void take_out() {
    job_.ejected = {known_file("sda", "/iso/a.iso", {})};
    job_.unplugged = {kCard};
    hypervisor_.vm = with_drive("");
  }
  // A disk of the VM, older than the saved state.
  std::filesystem::path give_disk() {
    const auto image = folder_ / "vda.qcow2";
    std::ofstream(image) << "content";
    std::filesystem::last_write_time(
        image, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
    job_.move.plan.placements = {
        {"vda", image.string(), "/srv/vda.qcow2", "qcow2", mib(1), mib(1), {}, false}};
    return image;
  }
  std::size_t asked(std::string_view verb) {
    return static_cast<std::size_t>(std::ranges::count(peer_.verbs, verb));
  }

  std::filesystem::path state_file_;
};

using Kind = Answer::Kind;
using Ran = Answer::Ran;

TEST_F(ColdMoveSwitch, ADestinationThatHasItIsBelieved) {
  record(gate::SourceState::kSwitching);
  answer({Kind::kRuns, Ran::kYes, 0, "it is on host2"});
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kDone) << (move.error ? move.error->text() : "");
  EXPECT_EQ(move.runner, Runner::kDestination);
  EXPECT_TRUE(hypervisor_.defined.empty());
  EXPECT_EQ(asked(verb::kSettle), 1u);
  EXPECT_EQ(asked(verb::kArrive), 0u) << "after a restart it is only asked who has it";
}

// It is the destination's already: what is left to do here waits for libvirt.
TEST_F(ColdMoveSwitch, FormerDisksWaitForALibvirtThatIsAway) {
  const auto image = give_disk();
  job_.files = {known_file("vda", image.string(), *file_identity(image.string()))};
  job_.move.plan.request.verification = Verification::kNone;
  hypervisor_.silent_lists = 1;
  record(gate::SourceState::kSwitching);
  answer({Kind::kRuns, Ran::kYes, 0, "it is on host2"});
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kDone) << (move.error ? move.error->text() : "");
  EXPECT_LT(hypervisor_.silent_lists, 0);
}

TEST_F(ColdMoveSwitch, ARefusalBringsTheDefinitionBack) {
  record(gate::SourceState::kSwitching);
  answer({Kind::kRefused, {}, 0, "host2 recorded a refusal"});
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_EQ(move.runner, Runner::kSource);
  EXPECT_EQ(hypervisor_.defined, std::vector<std::string>{"<domain/>"});
  EXPECT_TRUE(hypervisor_.autostart);
  EXPECT_EQ(asked(verb::kUndo), 1u);
  EXPECT_FALSE(records_->source({kUuid, "k3f9x2qa"}));
}

// They are told to libvirt once it knows the VM again.
TEST_F(ColdMoveSwitch, CheckpointsComeBackWithTheDefinition) {
  job_.migrate_called = false;
  job_.checkpoints = {{"clean", "<domainsnapshot/>", true}};
  job_.checkpoints_forgotten = true;
  hypervisor_.knows = [&]() -> Status {
    EXPECT_EQ(hypervisor_.defined.size(), 1u);
    return {};
  };
  EXPECT_EQ(resume().state, MoveState::kFailed);
  ASSERT_EQ(hypervisor_.known.size(), 1u);
  EXPECT_TRUE(hypervisor_.known[0].current);
}

TEST_F(ColdMoveSwitch, CheckpointsThatTheDestinationDoesNotTakeAreSaid) {
  record(gate::SourceState::kSwitching);
  answer({Kind::kRuns, Ran::kYes, 0, "it is on host2"});
  VerifyReply reply{true, "shut off", std::chrono::milliseconds(0), {}, {}};
  reply.checkpoints_lost = "libvirt says no.";
  peer_.verifies.push_back(to_json(reply));
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kDone);
  EXPECT_TRUE(move.explanation.contains("libvirt says no")) << move.explanation;
}

TEST_F(ColdMoveSwitch, BeforeItWasAskedTheMoveIsUndone) {
  job_.migrate_called = false;
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_EQ(move.error->code, ErrorCode::kUnavailable);
  EXPECT_EQ(hypervisor_.defined.size(), 1u);
  EXPECT_EQ(asked(verb::kAnswer), 0u);
}

TEST_F(ColdMoveSwitch, ADefinitionThatIsThereIsLeftAlone) {
  job_.migrate_called = false;
  hypervisor_.kind = RunState::Kind::kOff;
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_TRUE(hypervisor_.defined.empty());
}

TEST_F(ColdMoveSwitch, WhatMayHaveRunThereIsNeverTakenBack) {
  record(gate::SourceState::kSwitching);
  answer({Kind::kGone, Ran::kUnknown, 0, "it is off; whether it ran is unknown"});
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kParked);
  EXPECT_TRUE(hypervisor_.defined.empty());
  EXPECT_EQ(asked(verb::kUndo), 0u);
}

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

// It would go on from its memory without them, or from its disks with them.
TEST_F(ColdMoveSwitch, AParkedGuestGetsNothingBackAndWhatItLacksIsSaid) {
  quick();
  take_out();
  job_.migrate_called = false;
  job_.restore_called = true;
  const auto work = make_move_work(*world_, job_, [](MoveChange, const Move&) {});
  work->resume(std::stop_token());
  const SourceJob parked = work->take_job();
  EXPECT_EQ(parked.move.state, MoveState::kParked);
  EXPECT_TRUE(hypervisor_.changed.empty());
  EXPECT_EQ(parked.ejected.size(), 1u);
  EXPECT_EQ(parked.unplugged, std::vector<std::string>{kCard});
  for (const char* word :
       {"virsh restore", "the disc /iso/a.iso (drive sda)", "the network card 52:54:00:00:00:02",
        "drover resolve k3f9x2qa --runs-on host1"}) {
    EXPECT_TRUE(parked.move.explanation.contains(word)) << parked.move.explanation;
  }
}

// As the explanation of the parked move says.
TEST_F(ColdMoveSwitch, WhatAParkedGuestLackedIsPutBackOnceTheMoveIsResolved) {
  quick();
  take_out();
  job_.migrate_called = false;
  job_.restore_called = true;
  job_.move.explanation = "What a parked move said.";
  job_.move.resolution = Resolution{"host1", false, "alice", {}};
  hypervisor_.kind = RunState::Kind::kRunning;
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_EQ(hypervisor_.changed,
            (std::vector<std::string>{"sda=/iso/a.iso", "plug 52:54:00:00:00:02"}));
  EXPECT_TRUE(move.explanation.contains("runs on host1 as before")) << move.explanation;
}

TEST_F(ColdMoveSwitch, WhatIsTheDestinationsLacksNothingHere) {
  quick();
  take_out();
  record(gate::SourceState::kSwitching);
  answer({Kind::kGone, Ran::kUnknown, 0, "it is off; whether it ran is unknown"});
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kParked);
  EXPECT_TRUE(hypervisor_.changed.empty());
  EXPECT_FALSE(move.explanation.contains("/iso/a.iso")) << move.explanation;
}

// QEMU goes on with them until it is told, whatever libvirt does meanwhile.
TEST_F(ColdMoveSwitch, MirrorsAreEndedOnceLibvirtAnswers) {
  quick();
  job_.migrate_called = job_.undefined = false;
  hypervisor_.kind = RunState::Kind::kRunning;
  std::deque<std::string> jobs = {R"([{"id":"drover-k3f9x2qa-vda","status":"ready"}])",
                                  R"([{"id":"drover-k3f9x2qa-vda","status":"concluded"}])", "[]"};
  std::vector<std::string> told;
  hypervisor_.qemu = [&, asked = 0](const std::string& command) mutable -> Result<std::string> {
    if (++asked < 4) return fail(ErrorCode::kUnavailable, "Nobody is there.");
    if (!command.contains("query-jobs")) {
      told.push_back(command);
      return R"({"return":[]})";
    }
    const std::string now = jobs.front();
    if (jobs.size() > 1) jobs.pop_front();
    return fmt::format(R"({{"return":{}}})", now);
  };
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kFailed);
  ASSERT_EQ(told.size(), 3u) << "cancelled, dismissed, and its nodes looked for";
  EXPECT_TRUE(told[0].contains("block-job-cancel")) << told[0];
  EXPECT_TRUE(told[1].contains("job-dismiss")) << told[1];
  EXPECT_TRUE(move.explanation.contains("runs on host1 as before")) << move.explanation;
}

// 10 s, as a QEMU that says no is asked.
TEST_F(ColdMoveSwitch, MirrorsThatQemuDoesNotEndAreSaid) {
  quick();
  job_.migrate_called = job_.undefined = false;
  hypervisor_.kind = RunState::Kind::kRunning;
  hypervisor_.qemu = [](const std::string&) -> Result<std::string> {
    return R"({"error":{"class":"GenericError","desc":"It is busy."}})";
  };
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_TRUE(move.explanation.contains("does not end its copies")) << move.explanation;
  EXPECT_TRUE(move.explanation.contains("It is busy.")) << move.explanation;
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

TEST_F(ColdMoveSwitch, AVmThatIsGoneIsDefinedAgain) {
  quick();
  job_.migrate_called = job_.undefined = false;
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_EQ(hypervisor_.defined.size(), 1u);
  EXPECT_EQ(hypervisor_.restored.size(), 1u);
}

TEST_F(ColdMoveSwitch, ADefinitionThatIsRefusedIsLeftAsAFile) {
  job_.migrate_called = false;
  hypervisor_.define_says = fail(ErrorCode::kHypervisor, "No such machine.");
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kParked);
  const std::string path = state_file_.string() + ".xml";
  EXPECT_TRUE(move.explanation.contains("virsh define " + path)) << move.explanation;
  EXPECT_EQ(*read_file(path), "<domain/>");
}

// libvirt does not know the VM: nothing can be put back into it, nor its checkpoints be told.
TEST_F(ColdMoveSwitch, WhatAVmWithoutADefinitionLacksIsSaid) {
  quick();
  take_out();
  job_.migrate_called = false;
  job_.checkpoints = {{"clean", "<domainsnapshot/>", true}};
  job_.checkpoints_forgotten = true;
  hypervisor_.define_says = fail(ErrorCode::kHypervisor, "No such machine.");
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kParked);
  EXPECT_TRUE(hypervisor_.changed.empty());
  EXPECT_TRUE(hypervisor_.known.empty());
  for (const char* word : {"virsh define", "the disc /iso/a.iso (drive sda)",
                           "the network card 52:54:00:00:00:02", "the checkpoint clean"}) {
    EXPECT_TRUE(move.explanation.contains(word)) << move.explanation;
  }
}

TEST_F(ColdMoveSwitch, ADoubtIsToldInTheWordsOfItsKind) {
  record(gate::SourceState::kSwitching);
  answer({Kind::kPending, {}, 0, "libvirt on host2 does not answer"});
  answer({Kind::kRuns, Ran::kYes, 0, "it is on host2"});
  std::string told;
  const auto move = make_move_work(*world_, job_, [&](MoveChange, const Move& now) {
    if (now.runner == Runner::kUnknown) told = now.explanation;
  });
  move->resume(std::stop_token());
  EXPECT_EQ(move->snapshot().state, MoveState::kDone);
  EXPECT_TRUE(told.contains("does not know it")) << told;
  EXPECT_FALSE(told.contains("stands still")) << told;
}

TEST(ColdFiles, WhatIsNotWholeAndWhatCannotBeSeenAreTwoThings) {
  const auto folder = std::filesystem::temp_directory_path() / ("drover-cold-" + random_name(8));
  std::filesystem::create_directory(folder);
  EXPECT_FALSE(*is_whole_state((folder / "none").string()));
  EXPECT_FALSE(is_whole_state(folder.string())) << "a folder cannot be read";
  std::ofstream(folder / "begun") << "LibvirtQemudPart";
  EXPECT_FALSE(*is_whole_state((folder / "begun").string()));
  std::ofstream(folder / "other") << std::string(200, 'x');
  EXPECT_FALSE(is_whole_state((folder / "other").string())) << "another form, but something";
  std::filesystem::remove_all(folder);
}

TEST(ColdFiles, MemoryNeedsRoom) {
  EXPECT_FALSE(state_short("/", "host1", "web01", {}));
  const auto shortage = state_short("/", "host1", "web01", gib(1ull << 30));
  ASSERT_TRUE(shortage);
  EXPECT_EQ(shortage->code, "SPACE_SHORT");
  EXPECT_EQ(shortage->level, FindingLevel::kBlocker);
}

TEST(ColdFiles, TheHeadOfASavedStateIsAsLongAsItSays) {
  std::string head(kStateHeadLeast, '\0');
  EXPECT_EQ(state_head_bytes(head.substr(1)).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(state_head_bytes(head).error().code, ErrorCode::kHypervisor);
  head.replace(0, 16, "LibvirtQemudPart");
  EXPECT_EQ(state_head_bytes(head).error().code, ErrorCode::kHypervisor) << "no definition";
  head[21] = 1;
  EXPECT_EQ(*state_head_bytes(head), kStateHeadLeast + 256);
  head[23] = 1;
  EXPECT_EQ(state_head_bytes(head).error().code, ErrorCode::kHypervisor) << "too long";
}

}  // namespace
}  // namespace drover::move
