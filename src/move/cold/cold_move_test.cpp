// SPDX-License-Identifier: Apache-2.0
// A quick or offline move at its source, from its switch on: who has the VM, and the way back.
#include "hypervisor/disk_image.h"
#include "move/cold/cold_move_fixture.h"

namespace drover::move {
namespace {

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

// Its mover went on without droverd, and would wait for the other side's for its whole patience.
TEST_F(ColdMoveSwitch, TheMoverOfADroverdBeforeIsEnded) {
  int stopped = 0;
  carriage_.state.on_stop = [&] { ++stopped; };
  record(gate::SourceState::kSwitching);
  answer({Kind::kRuns, Ran::kYes, 0, "it is on host2"});
  EXPECT_EQ(resume().state, MoveState::kDone);
  EXPECT_EQ(stopped, 1);
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

}  // namespace
}  // namespace drover::move
