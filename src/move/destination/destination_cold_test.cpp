// SPDX-License-Identifier: Apache-2.0
// A quick or offline move at its destination: what is taken in, once, and what is said of it.
#include <filesystem>

#include <gtest/gtest.h>

#include "move/destination/destination_cold_fixture.h"

namespace drover::move {
namespace {

const std::string kNamesake =
    "<domain type='kvm'><name>web01</name><uuid>00000000-0000-0000-0000-000000000001</uuid>"
    "<memory unit='MiB'>64</memory><os><type>hvm</type></os></domain>";

constexpr auto kOffline = MoveKind::kOffline;
constexpr auto kQuick = MoveKind::kQuick;

TEST_F(ColdDestination, AVmThatIsOffIsDefinedOnceItHasArrived) {
  prepare(kOffline);
  EXPECT_EQ(state(), RunState::Kind::kAbsent) << "nothing is visible before";
  EXPECT_EQ(arrive(kOffline).kind, Answer::Kind::kRuns);
  EXPECT_EQ(state(), RunState::Kind::kOff);
  EXPECT_EQ(decision(), gate::Decision::kAccepted);
  EXPECT_EQ(arrive(kOffline).kind, Answer::Kind::kRuns) << "and may be said again";
  EXPECT_EQ(undo().error().code, ErrorCode::kInDoubt) << "it is here";
  EXPECT_EQ(state(), RunState::Kind::kOff);
}

TEST_F(ColdDestination, ASavedGuestGoesOnHere) {
  prepare(kQuick);
  deliver_guest();
  EXPECT_EQ(arrive(kQuick).kind, Answer::Kind::kRuns);
  EXPECT_EQ(state(), RunState::Kind::kRunning);
  EXPECT_FALSE(std::filesystem::exists(state_file())) << "it is never needed again";
  ASSERT_TRUE(hypervisor_.destroy(kUuid));
  restart();
  const Answer later = answer();
  EXPECT_EQ(later.kind, Answer::Kind::kGone);
  EXPECT_EQ(later.ran, Answer::Ran::kYes);
  EXPECT_EQ(state(), RunState::Kind::kOff) << "a guest is restored once";
}

TEST_F(ColdDestination, WhatWasTakenBackDoesNotArrive) {
  prepare(kOffline);
  EXPECT_EQ(answer().kind, Answer::Kind::kRefused);
  EXPECT_EQ(arrive(kOffline).kind, Answer::Kind::kRefused);
  EXPECT_EQ(state(), RunState::Kind::kAbsent);
  EXPECT_TRUE(undo());
  EXPECT_FALSE(ask_to_arrive(kOffline));
  EXPECT_EQ(state(), RunState::Kind::kAbsent);
}

// Its source sees the stream end, and asks for the reason.
TEST_F(ColdDestination, SaysWhatItCannotWrite) {
  prepare(MoveKind::kQuick);
  const auto text = side_->handle("host1", verb::kSpace, to_json(MoveName{kMove}));
  ASSERT_TRUE(text) << text.error().text();
  EXPECT_EQ(space_reply_from_json(*text)->folder, state_file().parent_path().string());
  deliver(std::string(100, 'h'));
  EXPECT_FALSE(answer(verb::kLook).failed);
  const auto socket = carriage_.state.take_file();
  ASSERT_TRUE(socket);
  {
    const NoFileGrowsBeyond limit(mib(8));
    const std::string piece(1 << 20, 'x');
    for (int i = 0; i < 16; ++i)
      if (::send(socket->get(), piece.data(), piece.size(), MSG_NOSIGNAL) < 0) break;
    char byte = 0;
    ASSERT_LE(::recv(socket->get(), &byte, 1, 0), 0) << "it is broken off";
  }
  const Answer said = answer(verb::kLook);
  EXPECT_EQ(said.kind, Answer::Kind::kPending);
  ASSERT_TRUE(said.failed);
  EXPECT_TRUE(said.failed->text().contains(state_file().string())) << said.failed->text();
  ASSERT_TRUE(undo());
  EXPECT_FALSE(std::filesystem::exists(state_file()));
}

TEST_F(ColdDestination, NothingIsAcceptedBeforeAllHasCome) {
  prepare(kQuick);
  const std::string state_text = saved_guest();
  head_ = state_text.substr(0, *state_head_bytes(state_text));
  deliver(head_);
  EXPECT_EQ(ask_to_arrive(kQuick).error().code, ErrorCode::kConflict);
  EXPECT_EQ(ask_to_arrive(kOffline).error().code, ErrorCode::kProtocol) << "other files";
  EXPECT_EQ(*records_->decision(kKey), std::nullopt);
}

TEST_F(ColdDestination, AHeadOfAnotherLengthIsRefused) {
  prepare(kQuick);
  deliver_guest();
  head_ += "x";
  EXPECT_EQ(ask_to_arrive(kQuick).error().code, ErrorCode::kProtocol);
  EXPECT_EQ(answer().kind, Answer::Kind::kRefused);
}

TEST_F(ColdDestination, ADroverdThatWasRestartedHasLostWhatCame) {
  prepare(kOffline);
  restart();
  EXPECT_EQ(ask_to_arrive(kOffline).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(answer().kind, Answer::Kind::kRefused);
  EXPECT_TRUE(undo());
}

// libvirt says no: that it never ran here is a word that stands, whatever changes later.
TEST_F(ColdDestination, ADefinitionThatIsRefusedGivesItBack) {
  prepare(kOffline);
  ASSERT_TRUE(hypervisor_.define(kNamesake));
  const Answer said = arrive(kOffline);
  EXPECT_EQ(said.kind, Answer::Kind::kGone);
  EXPECT_EQ(said.ran, Answer::Ran::kNo);
  ASSERT_TRUE(hypervisor_.undefine("00000000-0000-0000-0000-000000000001"));
  restart();
  side_->sweep();
  EXPECT_EQ(answer().ran, Answer::Ran::kNo);
  EXPECT_EQ(state(), RunState::Kind::kAbsent) << "it is not defined after all";
  EXPECT_TRUE(undo());
}

TEST_F(ColdDestination, AStateThatIsRefusedGivesItBack) {
  hypervisor_.at_restore = [] { return fail(ErrorCode::kHypervisor, "No such machine."); };
  prepare(kQuick);
  deliver_guest();
  const Answer said = arrive(kQuick);
  EXPECT_EQ(said.kind, Answer::Kind::kGone);
  EXPECT_EQ(said.ran, Answer::Ran::kNo);
  EXPECT_TRUE(said.text.contains("No such machine")) << said.text;
  const auto undone = undo();
  ASSERT_TRUE(undone) << undone.error().text();
  EXPECT_EQ(state(), RunState::Kind::kAbsent);
  EXPECT_FALSE(std::filesystem::exists(state_file()));
}

// Whoever is told that it never ran here must be the only one who can start it.
TEST_F(ColdDestination, WhatNeverRanIsNotDefinedHereAnyMore) {
  hypervisor_.at_restore = [] { return fail(ErrorCode::kHypervisor, "No such machine."); };
  prepare(kQuick);
  deliver_guest();
  EXPECT_EQ(arrive(kQuick).ran, Answer::Ran::kNo);
  EXPECT_EQ(state(), RunState::Kind::kAbsent);
}

TEST_F(ColdDestination, AWordThatCannotBeWrittenDownIsNotSaid) {
  hypervisor_.at_restore = [&] {
    EXPECT_TRUE(database_->run("ALTER TABLE jobs RENAME TO away"));
    return fail(ErrorCode::kHypervisor, "No such machine.");
  };
  prepare(kQuick);
  deliver_guest();
  EXPECT_EQ(arrive(kQuick).kind, Answer::Kind::kPending);
  EXPECT_EQ(answer(verb::kLook).kind, Answer::Kind::kPending);
  ASSERT_TRUE(database_->run("ALTER TABLE away RENAME TO jobs"));
  EXPECT_EQ(answer().ran, Answer::Ran::kNo);
  EXPECT_EQ(state(), RunState::Kind::kAbsent);
}

// Events come while libvirt restores, and a verb waits for it.
TEST_F(ColdDestination, AGuestThatWasSeenRunningNeverIsOneThatNeverRan) {
  hypervisor_.at_restore = [&] {
    side_->take_vm_event({VmEvent::Kind::kResumed, kUuid, "web01", false});
    EXPECT_TRUE(side_->concerns(kUuid));
    return fail(ErrorCode::kHypervisor, "It died.");
  };
  prepare(kQuick);
  deliver_guest();
  const Answer said = arrive(kQuick);
  EXPECT_EQ(said.kind, Answer::Kind::kGone);
  EXPECT_NE(said.ran, Answer::Ran::kNo);
}

TEST_F(ColdDestination, ALookChangesNothing) {
  prepare(kOffline);
  ASSERT_EQ(*records_->decide(kKey, gate::Decision::kAccepted), gate::Decision::kAccepted);
  EXPECT_EQ(answer(verb::kLook).kind, Answer::Kind::kPending);
  EXPECT_EQ(state(), RunState::Kind::kAbsent);
  EXPECT_EQ(answer().kind, Answer::Kind::kRuns);
  EXPECT_EQ(answer(verb::kLook).kind, Answer::Kind::kRuns);
}

// droverd ended while libvirt was restoring it: nobody saw whether it ran.
TEST_F(ColdDestination, AGuestThatMayHaveRunIsNotRestoredAgain) {
  prepare(kQuick);
  deliver_guest();
  ASSERT_EQ(*records_->decide(kKey, gate::Decision::kAccepted), gate::Decision::kAccepted);
  ASSERT_TRUE(hypervisor_.define(kDefinition));
  auto job = job_in_journal();
  job.defined = job.restore_called = true;
  save(job);
  restart();
  const Answer said = answer();
  EXPECT_EQ(said.kind, Answer::Kind::kGone);
  EXPECT_EQ(said.ran, Answer::Ran::kUnknown);
  EXPECT_EQ(state(), RunState::Kind::kOff);
  EXPECT_EQ(undo().error().code, ErrorCode::kInDoubt);
  ASSERT_TRUE(hypervisor_.start(kUuid));
  EXPECT_EQ(answer().kind, Answer::Kind::kRuns) << "somebody has started it";
}

// Accepted: whoever is there afterwards takes it in, unasked.
TEST_F(ColdDestination, WhatWasAcceptedIsTakenInAfterARestart) {
  prepare(kOffline);
  ASSERT_EQ(*records_->decide(kKey, gate::Decision::kAccepted), gate::Decision::kAccepted);
  restart();
  side_->sweep();
  EXPECT_EQ(state(), RunState::Kind::kOff);
  EXPECT_EQ(answer(verb::kLook).kind, Answer::Kind::kRuns);
}

TEST_F(ColdDestination, ALibvirtThatIsAwayIsWaitedFor) {
  prepare(kOffline);
  hypervisor_.set_answering(false);
  EXPECT_EQ(arrive(kOffline).kind, Answer::Kind::kPending);
  hypervisor_.set_answering(true);
  EXPECT_EQ(answer().kind, Answer::Kind::kRuns);
}

}  // namespace
}  // namespace drover::move
