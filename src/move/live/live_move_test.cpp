// SPDX-License-Identifier: Apache-2.0
// Who runs the VM, for every record the gate may have left and every answer the destination may
// give.
#include "move/live/live_move.h"

#include <thread>

#include "move/live/live_move_fixture.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

TEST_F(LiveMoveSwitch, AReleasedRecordIsEnoughToGoForward) {
  record(gate::SourceState::kSwitching);
  record(gate::SourceState::kReleased);
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kDone);
  EXPECT_EQ(move.runner, Runner::kDestination);
  EXPECT_TRUE(hypervisor_.destroyed && hypervisor_.undefined && !hypervisor_.resumed);
  EXPECT_EQ(std::ranges::count(peer_.verbs, verb::kAnswer), 0);
}

TEST_F(LiveMoveSwitch, SettlingWaitsForALibvirtThatDoesNotAnswer) {
  record(gate::SourceState::kSwitching);
  record(gate::SourceState::kReleased);
  hypervisor_.undefine_fails_with = {ErrorCode::kUnavailable};
  EXPECT_EQ(resume().state, MoveState::kDone);
  EXPECT_TRUE(hypervisor_.undefined);
}

TEST_F(LiveMoveSwitch, ADefinitionThatCannotBeRemovedIsParked) {
  record(gate::SourceState::kSwitching);
  record(gate::SourceState::kReleased);
  hypervisor_.undefine_fails_with = {ErrorCode::kHypervisor};
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kParked);
  EXPECT_NE(move.explanation.find("virsh undefine"), std::string::npos);
}

TEST_F(LiveMoveSwitch, AKeptRecordIsEnoughToGoBack) {
  record(gate::SourceState::kKept);
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_EQ(move.runner, Runner::kSource);
  EXPECT_TRUE(hypervisor_.resumed && hypervisor_.autostart && !hypervisor_.destroyed &&
              !hypervisor_.undefined);
}

TEST_F(LiveMoveSwitch, WithoutAGateARefusalResumesTheSource) {
  record(gate::SourceState::kSwitching);
  answer({Answer::Kind::kRefused, {}, 0, "refused"});
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_TRUE(hypervisor_.resumed);
}

TEST_F(LiveMoveSwitch, WithoutAGateARunningGuestThereEndsTheSource) {
  record(gate::SourceState::kSwitching);
  answer({Answer::Kind::kPending, {}, 0, "not yet"});
  peer_.answers.push_back(fail(ErrorCode::kUnavailable, "host2 does not answer."));
  peer_.answers.push_back("garbage");
  answer({Answer::Kind::kRuns, Answer::Ran::kYes, 3, "runs"});
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kDone);
  EXPECT_TRUE(hypervisor_.destroyed && !hypervisor_.resumed);
}

TEST_F(LiveMoveSwitch, GoneAndNeverRunComesHome) {
  record(gate::SourceState::kSwitching);
  answer({Answer::Kind::kGone, Answer::Ran::kNo, 0, "never ran"});
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_TRUE(hypervisor_.resumed);
}

TEST_F(LiveMoveSwitch, GoneAfterRunningIsParkedWithTheSourceFenced) {
  for (const auto ran : {Answer::Ran::kYes, Answer::Ran::kUnknown}) {
    peer_.answers.clear();
    answer({Answer::Kind::kGone, ran, 0, "ended"});
    if (records_->source({kUuid, "k3f9x2qa"})->state == gate::SourceState::kHeld)
      record(gate::SourceState::kSwitching);
    const Move move = resume();
    EXPECT_EQ(move.state, MoveState::kParked);
    EXPECT_EQ(move.runner, Runner::kDestination);
    EXPECT_NE(move.explanation.find("must not be started"), std::string::npos);
    EXPECT_FALSE(hypervisor_.resumed || hypervisor_.dropped || hypervisor_.destroyed ||
                 hypervisor_.undefined);
  }
}

// libvirt waits at the gate for FINISH's answer, and its job lasts until then; the gate's event
// came while droverd was down. The gate is told the truth, and the record that it then writes
// decides.
TEST_F(LiveMoveSwitch, AGateInDoubtIsToldTheTruth) {
  gate_awaits_answer(true, gate::SourceState::kReleased, RunState::Kind::kOff);
  answer({Answer::Kind::kRuns, Answer::Ran::kYes, 3, "runs"});
  EXPECT_EQ(resume().state, MoveState::kDone);
  EXPECT_EQ(carriage_.state.told, std::vector<std::string>{"runs"});
  EXPECT_FALSE(hypervisor_.resumed);
}

// The destination's mover died after FINISH: no answer comes on the road, and the gate awaits it.
TEST_F(LiveMoveSwitch, AnAnswerThatIsLateIsFetched) {
  gate_awaits_answer(false, gate::SourceState::kKept, RunState::Kind::kPaused);
  peer_.looks.push_back(to_json({Answer::Kind::kRefused, {}, 0, "swept"}));
  answer({Answer::Kind::kRefused, {}, 0, "swept"});
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_EQ(carriage_.state.told, std::vector<std::string>{"not_run"});
  EXPECT_TRUE(hypervisor_.resumed);
}

// FINISH passed while the journal's disk was full: it is a switch all the same, which nobody
// cancels, and whose answer is fetched.
TEST_F(LiveMoveSwitch, ASwitchThatCannotBeWrittenIsOneAllTheSame) {
  gate_awaits_answer(false, gate::SourceState::kReleased, RunState::Kind::kOff);
  job_.move.phase = Phase::kCopyMemory;
  answer({Answer::Kind::kRuns, Answer::Ran::kYes, 3, "runs"});
  peer_.looks.push_back(to_json({Answer::Kind::kRuns, Answer::Ran::kYes, 3, "runs"}));
  const auto run = [&](const char* sql) { ASSERT_TRUE(database_->prepare(sql)->run()); };
  run("CREATE TRIGGER full BEFORE INSERT ON jobs BEGIN SELECT RAISE(ABORT, 'disk full'); END");
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  std::optional<Status> cancelled;
  const std::jthread user([&] {
    for (int i = 0; i < 2000 && move.snapshot().phase < Phase::kSwitch; ++i)
      std::this_thread::sleep_for(5ms);
    cancelled = move.cancel();
    run("DROP TRIGGER full");
  });
  move.resume(std::stop_token());
  ASSERT_TRUE(cancelled);
  EXPECT_FALSE(*cancelled);
  EXPECT_EQ(move.snapshot().state, MoveState::kDone);
  EXPECT_EQ(carriage_.state.told, std::vector<std::string>{"runs"});
}

// From then on a break may last as long as the pause budget only; the gate passes it to the mover.
TEST_F(LiveMoveSwitch, TheGateIsToldThatTheGuestStandsStill) {
  gate_awaits_answer(true, gate::SourceState::kReleased, RunState::Kind::kOff);
  answer({Answer::Kind::kRuns, Answer::Ran::kYes, 3, "runs"});
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  move.guest_stopped();
  move.resume(std::stop_token());
  EXPECT_EQ(carriage_.state.told, (std::vector<std::string>{"standstill", "runs"}));
}

// Cancelled as it stopped the guest, QEMU 7.2 waits for a word that libvirt does not give.
TEST_F(LiveMoveSwitch, AQemuThatDoesNotEndItsCancelIsToldTo) {
  record(gate::SourceState::kKept);
  hypervisor_.kind = RunState::Kind::kMigratingOut;
  std::vector<std::string> told;
  hypervisor_.qemu = [&](const std::string& command) -> Result<std::string> {
    if (command.contains("query-migrate")) return R"({"return":{"status":"cancelling"}})";
    if (command.contains("migrate-continue")) {
      told.push_back(command);
      hypervisor_.kind = RunState::Kind::kRunning;
    }
    return R"({"return":{}})";
  };
  EXPECT_EQ(resume().state, MoveState::kFailed);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(told[0].contains(R"("state":"cancelling")")) << told[0];
}

// With several connections its migration waits for one of them, and that for the mover.
TEST_F(LiveMoveSwitch, ACancelThatWaitsForAConnectionOfQemusOwnLosesItsRoad) {
  record(gate::SourceState::kKept);
  job_.move.plan.request.parallel_connections = 2;
  hypervisor_.kind = RunState::Kind::kMigratingOut;
  bool told = false;
  hypervisor_.qemu = [&](const std::string& command) -> Result<std::string> {
    if (command.contains("query-migrate")) return R"({"return":{"status":"cancelling"}})";
    told = told || command.contains("migrate-continue");
    return R"({"return":{}})";
  };
  carriage_.state.mover_alive = true;
  carriage_.state.on_cut = [&] { hypervisor_.kind = RunState::Kind::kRunning; };
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_EQ(std::ranges::count(carriage_.state.told, "cut road"), 1);
  EXPECT_FALSE(told) << "that was not what it waited for";
}

// QEMU before 10 does not survive a cancel while it writes its devices' state.
class LiveMoveCancel : public LiveMoveSwitch, public testing::WithParamInterface<const char*> {};

TEST_P(LiveMoveCancel, ASwitchIsNotCancelledAndOneThatLastsLosesItsRoad) {
  std::string status = GetParam();
  const bool at_switch = status != "active";
  record(gate::SourceState::kSwitching);
  job_.move.phase = Phase::kCopyMemory;
  hypervisor_.kind = RunState::Kind::kMigratingOut;
  hypervisor_.qemu = [&](const std::string& command) -> Result<std::string> {
    if (!command.contains("query-migrate")) return R"({"return":{}})";
    if (hypervisor_.aborted != 0) hypervisor_.kind = RunState::Kind::kRunning;
    return fmt::format(R"({{"return":{{"status":"{}"}}}})", status);
  };
  carriage_.state.gate_alive = true;
  carriage_.state.on_cut = [&] {
    EXPECT_EQ(hypervisor_.aborted, 0u);
    status = "failed";
    hypervisor_.kind = RunState::Kind::kRunning;
  };
  std::size_t stops = 0;
  carriage_.state.on_stop = [&] {
    EXPECT_TRUE(status == "failed" || status == "active") << "the gate went first";
    if (stops++ == 0) record(gate::SourceState::kKept);
  };
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  ASSERT_TRUE(move.cancel());
  move.resume(std::stop_token());
  EXPECT_EQ(move.snapshot().state, MoveState::kCancelled);
  EXPECT_EQ(std::ranges::count(carriage_.state.told, "cut road"), at_switch ? 1 : 0);
}

INSTANTIATE_TEST_SUITE_P(Status, LiveMoveCancel,
                         testing::Values("active", "pre-switchover", "device"));

// Cancelled as libvirt was about to wait for the guest to stop: QEMU lets it run again, and libvirt
// waits for ever.
TEST_F(LiveMoveSwitch, ALibvirtThatMissedTheStopIsShownOne) {
  record(gate::SourceState::kKept);
  job_.move.phase = Phase::kCopyMemory;
  hypervisor_.kind = RunState::Kind::kMigratingOut;
  std::vector<std::string> told;
  hypervisor_.qemu = [&](const std::string& command) -> Result<std::string> {
    if (command.contains("query-migrate")) return R"({"return":{"status":"cancelled"}})";
    if (command.contains("query-status")) return R"({"return":{"status":"running"}})";
    if (command.contains(R"("stop")") || command.contains(R"("cont")")) told.push_back(command);
    if (command.contains(R"("cont")")) hypervisor_.kind = RunState::Kind::kRunning;
    return R"({"return":{}})";
  };
  EXPECT_EQ(resume().state, MoveState::kFailed);
  ASSERT_EQ(told.size(), 2u);
  EXPECT_TRUE(told[0].contains("stop") && told[1].contains("cont")) << told[0] << told[1];
}

// While disks are copied QEMU's last word may be of an earlier move, and the guest is left alone.
TEST_F(LiveMoveSwitch, AGuestWhoseDisksAreCopiedIsNotStopped) {
  record(gate::SourceState::kKept);
  job_.move.phase = Phase::kCopyDisks;
  hypervisor_.kind = RunState::Kind::kMigratingOut;
  int looks = 0;
  bool stopped = false;
  hypervisor_.qemu = [&](const std::string& command) -> Result<std::string> {
    if (command.contains("query-migrate") && ++looks == 4)
      hypervisor_.kind = RunState::Kind::kRunning;
    if (command.contains("query-migrate")) return R"({"return":{"status":"cancelled"}})";
    if (command.contains("query-status")) return R"({"return":{"status":"running"}})";
    stopped = stopped || command.contains(R"("stop")");
    return R"({"return":{}})";
  };
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_GE(looks, 4);
  EXPECT_FALSE(stopped);
}

TEST_F(LiveMoveSwitch, AGateThatLetNothingPassMeansTheSourceKeepsIt) {
  carriage_.state.gate_alive = true;
  carriage_.state.on_stop = [&] { record(gate::SourceState::kKept); };
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_TRUE(hypervisor_.resumed);
  EXPECT_EQ(std::ranges::count(peer_.verbs, verb::kAnswer), 0);
  EXPECT_EQ(std::ranges::count(peer_.verbs, verb::kUndo), 1);
}

// It says that it let nothing pass; then FINISH comes, and it is busy with that, or is killed.
TEST_F(LiveMoveSwitch, AGateWithoutALastWordLeavesItToTheDestination) {
  carriage_.state.gate_alive = true;
  answer({Answer::Kind::kRuns, Answer::Ran::kYes, 3, "runs"});
  for (const Status& stops : {Status{}, Status{fail(ErrorCode::kTimeout, "The gate is silent.")}}) {
    ASSERT_TRUE(records_->create_source({kUuid, "k3f9x2qa"}, "k3f9x2qa"));
    record(gate::SourceState::kSwitching);
    hypervisor_.kind = RunState::Kind::kPaused;
    carriage_.state.stops = stops;
    EXPECT_EQ(resume().state, MoveState::kDone);
    EXPECT_FALSE(hypervisor_.resumed);
  }
}

// FINISH was let pass by a gate that could not be asked, and found the refusal: it awaits the
// answer.
TEST_F(LiveMoveSwitch, AnUndoTellsAGateThatStillAwaitsTheAnswer) {
  job_.refusal_proven = true;
  record(gate::SourceState::kKept);
  carriage_.state.gate_alive = true;
  carriage_.state.stops = fail(ErrorCode::kConflict, "The gate awaits the answer.");
  carriage_.state.on_delivery = [&] { carriage_.state.stops = {}; };
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_EQ(carriage_.state.told, std::vector<std::string>{"not_run"});
  EXPECT_TRUE(hypervisor_.resumed);
}

TEST_F(LiveMoveSwitch, ADamagedRecordParksAndTouchesNothing) {
  for (const auto& file : std::filesystem::directory_iterator(folder_ / "records")) {
    if (file.is_regular_file()) std::filesystem::resize_file(file.path(), 3);
  }
  answer({Answer::Kind::kRefused, {}, 0, "refused"});
  EXPECT_EQ(resume().state, MoveState::kParked);
  EXPECT_FALSE(hypervisor_.resumed || hypervisor_.destroyed || hypervisor_.undefined ||
               hypervisor_.dropped);
}

TEST_F(LiveMoveSwitch, ARestartBeforeTheCopyUndoes) {
  job_.migrate_called = false;
  job_.move.phase = Phase::kPrepare;
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_TRUE(hypervisor_.autostart);
  EXPECT_FALSE(hypervisor_.resumed) << "it never stood still";
  EXPECT_EQ(std::ranges::count(peer_.verbs, verb::kUndo), 1);
}

// The gate let FINISH pass, and nobody here had seen it when the cancel was accepted.
TEST_F(LiveMoveSwitch, ACancelUndoesNothingThatTheRecordsDoNot) {
  record(gate::SourceState::kSwitching);
  job_.move.phase = Phase::kCopyMemory;
  answer({Answer::Kind::kRuns, Answer::Ran::kYes, 3, "runs"});
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  ASSERT_TRUE(move.cancel());
  move.resume(std::stop_token());
  EXPECT_EQ(move.snapshot().state, MoveState::kDone);
  EXPECT_FALSE(hypervisor_.resumed || hypervisor_.dropped || hypervisor_.autostart);
}

TEST_F(LiveMoveSwitch, ACancelThatTheRecordsAllowIsCancelled) {
  record(gate::SourceState::kKept);
  job_.move.phase = Phase::kCopyMemory;
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  ASSERT_TRUE(move.cancel());
  move.resume(std::stop_token());
  EXPECT_EQ(move.snapshot().state, MoveState::kCancelled);
  EXPECT_TRUE(hypervisor_.resumed && hypervisor_.autostart);
}

// The destination has it: no error here may lead back, and what cannot be written down is neither
// done nor seen.
TEST_F(LiveMoveSwitch, AFullDiskAfterTheSwitchIsWaitedFor) {
  record(gate::SourceState::kSwitching);
  record(gate::SourceState::kReleased);
  hypervisor_.kind = RunState::Kind::kOff;
  ASSERT_TRUE(
      journal_->save(journal::Side::kSource, kMove, journal::JobState::kOpen, to_json(job_)));
  const auto run = [&](const char* sql) { ASSERT_TRUE(database_->prepare(sql)->run()); };
  run("CREATE TRIGGER full BEFORE INSERT ON jobs BEGIN SELECT RAISE(ABORT, 'disk full'); END");
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  const std::jthread room([&] {
    std::this_thread::sleep_for(1200ms);  // it has tried twice
    const Move seen = move.snapshot();
    EXPECT_EQ(seen.state, MoveState::kRunning);
    EXPECT_EQ(seen.phase, Phase::kSwitch) << phase_name(seen.phase);
    run("DROP TRIGGER full");
  });
  move.resume(std::stop_token());
  EXPECT_EQ(move.snapshot().state, MoveState::kDone);
  EXPECT_EQ(std::ranges::count(peer_.verbs, verb::kUndo), 0);
  EXPECT_TRUE(hypervisor_.undefined && !hypervisor_.autostart && !hypervisor_.resumed);
}

// droverd ended between the undo's last steps: the record is gone, the journal has the proof.
TEST_F(LiveMoveSwitch, AProvenRefusalNeedsNoRecordAnyMore) {
  job_.refusal_proven = true;
  ASSERT_TRUE(records_->remove({kUuid, "k3f9x2qa"}));
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_EQ(move.runner, Runner::kSource);
  EXPECT_TRUE(hypervisor_.resumed && hypervisor_.autostart && !hypervisor_.undefined);
  EXPECT_EQ(std::ranges::count(peer_.verbs, verb::kUndo), 1);
}

// The journal's last word comes after the record is gone: else nobody would ever remove it.
TEST_F(LiveMoveSwitch, AnUndoIsOpenUntilItsRecordIsGone) {
  record(gate::SourceState::kKept);
  const auto file = folder_ / "records" / (std::string(kUuid) + ".k3f9x2qa.source");
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  peer_.on_undo = [&] {
    std::filesystem::remove(file);
    std::filesystem::create_directory(file);  // which no unlink removes
  };
  move.resume(std::stop_token());
  EXPECT_EQ(move.snapshot().state, MoveState::kFailed);
  EXPECT_EQ(journal_->open_jobs(journal::Side::kSource)->size(), 1u);
  peer_.on_undo = {};
  std::filesystem::remove(file);
  EXPECT_TRUE(move.undo_at_destination());
  EXPECT_TRUE(journal_->open_jobs(journal::Side::kSource)->empty());
}

// What libvirt is told at the start cannot be added later, and after the copy nothing is left to
// do.
TEST_F(LiveMoveSwitch, APolicyIsChangedWhileThatCanStillDoAnything) {
  job_.move.phase = Phase::kCopyMemory;
  LiveMove copying(*world_, job_, [](MoveChange, const Move&) {});
  EXPECT_TRUE(copying.converge({ConvergencePolicy::kPause, 12s}));
  EXPECT_EQ(convergence_text(copying.snapshot().convergence), "pause:12");
  EXPECT_EQ(copying.converge({ConvergencePolicy::kSlowGuest}).error().code, ErrorCode::kConflict);
  EXPECT_EQ(convergence_text(copying.snapshot().convergence), "pause:12");

  job_.move.may_slow_guest = true;
  LiveMove slowed(*world_, job_, [](MoveChange, const Move&) {});
  EXPECT_TRUE(slowed.converge({ConvergencePolicy::kSlowGuest}));

  job_.migrate_called = job_.move.may_slow_guest = false;
  job_.move.phase = Phase::kReserve;
  LiveMove early(*world_, job_, [](MoveChange, const Move&) {});
  EXPECT_TRUE(early.converge({ConvergencePolicy::kSlowGuest}));

  job_.move.phase = Phase::kSwitch;
  LiveMove late(*world_, job_, [](MoveChange, const Move&) {});
  EXPECT_EQ(late.converge({ConvergencePolicy::kWait}).error().code, ErrorCode::kConflict);
}

// No setting and no other move changes that; and it ends with the rehearsal, also with one that is
// cancelled, for QEMU ends the copy of a disk only once what it has written was answered.
TEST_F(LiveMoveSwitch, TheDisksOfARehearsalOnlyTrickleUntilItEnds) {
  record(gate::SourceState::kKept);
  ASSERT_TRUE(book_->change_settings({{"bandwidth", SettingChange::Op::kSet, "50M"}}));
  job_.move.phase = Phase::kCopyDisks;
  job_.move.plan.request.rehearse = true;
  hypervisor_.kind = RunState::Kind::kMigratingOut;
  carriage_.state.mover_alive = true;
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  std::vector<BytesPerSecond> told;
  carriage_.state.on_bandwidth = [&](BytesPerSecond most) {
    told.push_back(most);
    if (told.size() == 1) {
      EXPECT_TRUE(move.cancel());
    } else {
      carriage_.state.mover_alive = false;
      hypervisor_.kind = RunState::Kind::kPaused;
    }
  };
  move.resume(std::stop_token());
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].value, mib(1).bytes);
  EXPECT_EQ(told[1].value, mib(50).bytes);
  EXPECT_EQ(move.snapshot().state, MoveState::kCancelled);
}

TEST_F(LiveMoveSwitch, AStoppingDaemonLeavesEverything) {
  record(gate::SourceState::kSwitching);
  std::stop_source stop;
  stop.request_stop();
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  move.resume(stop.get_token());
  EXPECT_EQ(move.snapshot().state, MoveState::kRunning);
  EXPECT_TRUE(peer_.verbs.empty());
}

}  // namespace
}  // namespace drover::move
