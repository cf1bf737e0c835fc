// SPDX-License-Identifier: Apache-2.0
// A quick or offline move at its source, from its switch on, with a scripted destination; and the
// way back.
#include <filesystem>
#include <fstream>

#include "move/cold_files.h"
#include "move/live_move_fixture.h"

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
