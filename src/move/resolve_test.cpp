// SPDX-License-Identifier: Apache-2.0
// An administrator's word: which claims hold, and what a move does that follows one.
#include "move/resolve.h"

#include <thread>

#include "json/model_json.h"
#include "move/live/live_move_fixture.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

class Resolve : public LiveMoveSwitch {
 protected:
  void SetUp() override {
    LiveMoveSwitch::SetUp();
    pair_with("host2");
    job_.move.state = MoveState::kParked;
  }
  void look(Answer answer) { peer_.looks = {to_json(answer)}; }
  void silence() { peer_.looks = {fail(ErrorCode::kUnavailable, "host2 does not answer.")}; }
  Result<Resolution> claim(std::string runs_on, bool peer_is_lost = false) {
    return check_claim(*world_, job_.move, {std::move(runs_on), peer_is_lost, "alice"});
  }
  ErrorCode refused(std::string runs_on, bool peer_is_lost = false) {
    const auto checked = claim(std::move(runs_on), peer_is_lost);
    EXPECT_FALSE(checked);
    return checked ? ErrorCode::kInternal : checked.error().code;
  }
};

const Answer kRunsThere{Answer::Kind::kRuns, Answer::Ran::kYes, 3, "it runs on host2"};
const Answer kRanThere{Answer::Kind::kGone, Answer::Ran::kYes, 0, "it ran on host2 and ended"};
const Answer kNeverRan{Answer::Kind::kGone, Answer::Ran::kNo, 0, "it never ran on host2"};
const Answer kRefusedThere{Answer::Kind::kRefused, {}, 0, "host2 gave the move up"};
const Answer kPendingThere{Answer::Kind::kPending, {}, 0, "not yet"};

TEST_F(Resolve, TheDestinationIsBelievedOnlyWhereItRuns) {
  look(kRunsThere);
  const auto held = claim("host2");
  ASSERT_TRUE(held) << held.error().text();
  EXPECT_EQ(held->runs_on, "host2");
  EXPECT_EQ(held->by, "alice");
  for (const auto& answer : {kRanThere, kNeverRan, kRefusedThere, kPendingThere}) {
    look(answer);
    const auto checked = claim("host2");
    ASSERT_FALSE(checked) << answer.text;
    EXPECT_EQ(checked.error().code, ErrorCode::kConflict);
    EXPECT_NE(checked.error().message.find(answer.text), std::string::npos);
  }
}

TEST_F(Resolve, TheSourceIsBelievedOnlyWhereItNeverRanThere) {
  for (const auto& answer : {kNeverRan, kRefusedThere}) {
    look(answer);
    EXPECT_TRUE(claim("host1")) << answer.text;
  }
  for (const auto& answer : {kRanThere, kRunsThere, kPendingThere}) {
    look(answer);
    EXPECT_EQ(refused("host1"), ErrorCode::kConflict) << answer.text;
    EXPECT_EQ(refused("host1", true), ErrorCode::kConflict) << answer.text;
  }
}

TEST_F(Resolve, SilenceProvesNothing) {
  silence();
  EXPECT_EQ(refused("host2"), ErrorCode::kUnavailable);
  EXPECT_EQ(refused("host1"), ErrorCode::kUnavailable);
  EXPECT_TRUE(claim("host1", true));
  EXPECT_EQ(refused("host2", true), ErrorCode::kInvalidArgument);
  job_.move.phase = Phase::kSettle;
  EXPECT_EQ(refused("host1", true), ErrorCode::kConflict);
}

TEST_F(Resolve, AHostThatAnswersIsNotLost) {
  look(kRefusedThere);
  EXPECT_EQ(refused("host1", true), ErrorCode::kConflict);
}

TEST_F(Resolve, TwoRunnersAreSaidAndNothingIsDecided) {
  hypervisor_.kind = RunState::Kind::kRunning;
  look(kRunsThere);
  EXPECT_EQ(refused("host2"), ErrorCode::kInDoubt);
}

TEST_F(Resolve, AThirdHostAndAMoveThatNeedsNoWordAreRefused) {
  look(kRunsThere);
  EXPECT_EQ(refused("host3"), ErrorCode::kInvalidArgument);
  for (const auto state : {MoveState::kDone, MoveState::kFailed, MoveState::kCancelled}) {
    job_.move.state = state;
    EXPECT_EQ(refused("host2"), ErrorCode::kConflict);
  }
  job_.move.state = MoveState::kRunning;
  job_.move.phase = Phase::kCopyDisks;
  EXPECT_EQ(refused("host2"), ErrorCode::kConflict);
}

TEST_F(Resolve, AVmThatIsNotHereDoesNotRunHere) {
  hypervisor_.kind = RunState::Kind::kAbsent;
  look(kRefusedThere);
  EXPECT_EQ(refused("host1"), ErrorCode::kConflict);
}

// What follows.

class Followed : public Resolve {
 protected:
  void SetUp() override {
    Resolve::SetUp();
    job_.move.state = MoveState::kRunning;
    job_.move.resolution = Resolution{"host1", true, "alice", std::chrono::system_clock::now()};
    record(gate::SourceState::kSwitching);
  }
};

TEST_F(Followed, TheGuestGoesOnHereWhenTheDestinationIsLost) {
  peer_.answers.push_back(fail(ErrorCode::kUnavailable, "host2 does not answer."));
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_EQ(move.runner, Runner::kSource);
  EXPECT_TRUE(hypervisor_.resumed && !hypervisor_.destroyed && !hypervisor_.undefined);
  EXPECT_TRUE(hypervisor_.announced) << "the LAN has learnt that it is at host2";
  EXPECT_EQ(std::ranges::count(peer_.verbs, verb::kUndo), 0);
  EXPECT_EQ(std::ranges::count(peer_.verbs, verb::kAbandon), 1);  // should it come back
  EXPECT_NE(move.explanation.find("alice"), std::string::npos) << move.explanation;
  EXPECT_TRUE(journal_->open_jobs(journal::Side::kSource)->empty());
}

// It comes back without its journal: then its libvirt's word counts.
TEST_F(Followed, AHostThatForgotTheMoveAndHasTheVmIsNotLost) {
  peer_.vms = json::to_json(std::vector<Vm>{job_.move.plan.vm});
  peer_.answers.push_back(fail(ErrorCode::kNotFound, "host2 knows of no move k3f9x2qa."));
  answer(kRunsThere);
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kDone);
  EXPECT_TRUE(hypervisor_.destroyed && !hypervisor_.resumed);
}

TEST_F(Followed, AHostThatForgotTheMoveAndHasNoVmIsLost) {
  peer_.answers.push_back(fail(ErrorCode::kNotFound, "host2 knows of no move k3f9x2qa."));
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_TRUE(hypervisor_.resumed && !hypervisor_.destroyed);
}

TEST_F(Followed, AnAnswerInTheLastMomentCounts) {
  answer(kRunsThere);
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kDone);
  EXPECT_TRUE(hypervisor_.destroyed && !hypervisor_.resumed);
  EXPECT_FALSE(move.resolution);
}

// libvirt waits at a gate that still hopes for an answer on the road.
TEST_F(Followed, AGateThatWaitsIsToldToo) {
  carriage_.state.gate_alive = true;
  carriage_.state.gate.finish_forwarded = true;
  carriage_.state.on_delivery = [this] {
    record(gate::SourceState::kKept);
    carriage_.state.gate_alive = false;
  };
  peer_.looks = {fail(ErrorCode::kUnavailable, "host2 does not answer.")};
  peer_.answers.push_back(fail(ErrorCode::kUnavailable, "host2 does not answer."));
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_EQ(carriage_.state.told, std::vector<std::string>{"not_run"});
  EXPECT_TRUE(hypervisor_.resumed && !hypervisor_.destroyed);
}

// It ran there, and is silent for a moment afterwards: the word was wrong, and stays so.
TEST_F(Followed, AWordThatWasWrongIsNotFollowedInTheNextSilence) {
  answer(kRunsThere);
  peer_.verifies.push_back(fail(ErrorCode::kTimeout, "host2 does not answer."));
  peer_.verifies.push_back(
      to_json(VerifyReply{true, "running", std::chrono::milliseconds(40), {}, {}}));
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kDone);
  EXPECT_EQ(move.runner, Runner::kDestination);
}

TEST_F(Followed, AfterTheSwitchTheDisksAreTakenBack) {
  record(gate::SourceState::kReleased);
  hypervisor_.kind = RunState::Kind::kOff;
  job_.move.phase = Phase::kVerify;
  peer_.verifies.push_back(fail(ErrorCode::kTimeout, "host2 does not answer."));
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_EQ(move.runner, Runner::kSource);
  EXPECT_FALSE(hypervisor_.undefined);
  EXPECT_TRUE(hypervisor_.autostart);
  EXPECT_NE(move.explanation.find("virsh start web01"), std::string::npos) << move.explanation;
}

// Written down before anything is touched: whoever comes after a crash does not ask again.
TEST_F(Followed, ADecisionThatWasBegunIsCarriedOut) {
  record(gate::SourceState::kKept);
  job_.refusal_proven = true;
  job_.abandon = true;
  answer(kRunsThere);
  peer_.abandon = Error{ErrorCode::kInDoubt, Retry::kNever, "It runs on host2.", {}};
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_TRUE(hypervisor_.resumed && !hypervisor_.destroyed);
  EXPECT_FALSE(records_->source({kUuid, "k3f9x2qa"}));                 // it may be started here
  EXPECT_EQ(journal_->open_jobs(journal::Side::kSource)->size(), 1u);  // and is told again
}

TEST_F(Followed, AWordInADoubtIsTakenByTheMoveThatWaits) {
  job_.move.resolution.reset();
  peer_.answers.push_back(fail(ErrorCode::kUnavailable, "host2 does not answer."));
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  std::jthread run([&] { move.resume(std::stop_token()); });
  while (move.snapshot().runner != Runner::kUnknown) std::this_thread::sleep_for(5ms);
  ASSERT_TRUE(move.resolve({"host1", true, "alice", std::chrono::system_clock::now()}));
  run.join();
  EXPECT_EQ(move.snapshot().state, MoveState::kFailed);
  EXPECT_TRUE(hypervisor_.resumed);
  EXPECT_EQ(move.resolve({"host1", true, "alice", {}}).error().code, ErrorCode::kConflict);
}

// Trying again.

class AfterAFailure : public LiveMoveSwitch {
 protected:
  void SetUp() override {
    LiveMoveSwitch::SetUp();
    record(gate::SourceState::kSwitching);
    job_.move.plan.request.retries = 1;
    answer(kRefusedThere);
  }
};

TEST_F(AfterAFailure, AnotherAttemptWaitsUnderAnotherName) {
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  move.resume(std::stop_token());
  ASSERT_TRUE(move.waits_again());
  const SourceJob job = move.take_job();
  EXPECT_EQ(job.move.state, MoveState::kRunning);
  EXPECT_EQ(job.move.phase, Phase::kPlan);
  EXPECT_EQ(job.move.id, "k3f9x2qa");
  EXPECT_NE(job.move.epoch, "k3f9x2qa");
  EXPECT_EQ(job.move.epoch.size(), 8u);
  ASSERT_EQ(job.move.attempts.size(), 1u);
  EXPECT_EQ(job.move.attempts[0].epoch, "k3f9x2qa");
  EXPECT_EQ(job.move.attempts[0].phase, "switch");
  ASSERT_TRUE(job.move.queue && job.move.queue->not_before);
  EXPECT_TRUE(hypervisor_.resumed);
  EXPECT_FALSE(job.reserved || job.migrate_called || job.carriers_started || job.refusal_proven);
  EXPECT_TRUE(job.left_epoch.empty());
  // A droverd that starts finds it so.
  const auto open = journal_->open_jobs(journal::Side::kSource);
  ASSERT_EQ(open->size(), 1u);
  const auto kept = source_job_from_json(open->front());
  ASSERT_TRUE(kept) << kept.error().text();
  EXPECT_TRUE(kept->move.queue && kept->move.epoch == job.move.epoch);
}

TEST_F(AfterAFailure, TheLastAttemptsErrorIsTheMoves) {
  job_.move.attempts.emplace_back();
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_EQ(move.error->code, ErrorCode::kRefused);
}

TEST_F(AfterAFailure, TheNextOneBeginsOnlyOnceTheUndoWasHeard) {
  job_ = {};
  job_.move.id = "k3f9x2qa";
  job_.move.epoch = "aaaaaaaa";
  job_.move.destination = "host2";
  job_.move.source = "host1";
  job_.move.plan.vm.uuid = kUuid;
  job_.move.plan.request.retries = 0;
  job_.left_epoch = "k3f9x2qa";
  peer_.undo = Error{ErrorCode::kUnavailable, Retry::kLater, "host2 does not answer.", {}};
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  move.run(std::stop_token());
  EXPECT_EQ(move.snapshot().state, MoveState::kFailed);
  EXPECT_EQ(move.snapshot().error->code, ErrorCode::kUnavailable);
  EXPECT_EQ(journal_->open_jobs(journal::Side::kSource)->size(), 1u);  // it is still to be told
  EXPECT_TRUE(records_->source({kUuid, "k3f9x2qa"}));
  peer_.undo.reset();
  EXPECT_TRUE(move.undo_at_destination());
  EXPECT_TRUE(journal_->open_jobs(journal::Side::kSource)->empty());
  EXPECT_FALSE(records_->source({kUuid, "k3f9x2qa"}));
}

}  // namespace
}  // namespace drover::move
