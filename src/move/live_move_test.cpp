// SPDX-License-Identifier: Apache-2.0
// Who runs the VM, for every record the gate may have left and every answer the destination may
// give.
#include "move/live_move.h"

#include <deque>
#include <thread>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/random.h"
#include "move/move_test_support.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr const char* kUuid = "6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab";

// A source whose libvirt has ended its call, with the guest in `kind`.
class SourceHypervisor final : public Hypervisor {
 public:
  RunState::Kind kind = RunState::Kind::kPaused;
  bool dropped = false, resumed = false, destroyed = false, undefined = false, autostart = false;
  std::deque<ErrorCode> undefine_fails_with;  // in order, then it works

  bool connected() override { return true; }
  Result<HostFacts> host_facts() override { return HostFacts{}; }
  Result<std::vector<Vm>> list_vms() override { return std::vector<Vm>{}; }
  Result<Vm> find_vm(std::string_view) override { return fail(ErrorCode::kNotFound, "No VM."); }
  Result<RunState> run_state(std::string_view) override { return RunState{kind, "test"}; }
  Result<std::string> definition(std::string_view, DefinitionKind) override { return "<domain/>"; }
  Result<CpuComparison> compare_cpu(std::string_view, std::vector<std::string>*) override {
    return CpuComparison::kSame;
  }
  void subscribe(std::function<void(const VmEvent&)>) override {}
  Status define(std::string_view) override { return {}; }
  Status undefine(std::string_view) override {
    if (!undefine_fails_with.empty()) {
      const ErrorCode code = undefine_fails_with.front();
      undefine_fails_with.pop_front();
      return fail(code, "libvirt says no.");
    }
    undefined = true;
    return {};
  }
  Status set_autostart(std::string_view, bool on) override {
    autostart = on;
    return {};
  }
  Status destroy(std::string_view) override {
    destroyed = true;
    kind = RunState::Kind::kOff;
    return {};
  }
  Status resume(std::string_view) override {
    EXPECT_TRUE(dropped) << "the fence is lifted before the guest is resumed";
    resumed = true;
    kind = RunState::Kind::kRunning;
    return {};
  }
  Status refresh_pool(std::string_view) override { return {}; }
  Status migrate(const MigrateCall&) override { return {}; }
  Result<JobProgress> job_progress(std::string_view) override { return JobProgress{}; }
  Result<CompletedJob> completed_job(std::string_view) override { return CompletedJob{}; }
  Status abort_job(std::string_view) override { return {}; }
  Status set_downtime_limit(std::string_view, std::chrono::milliseconds) override { return {}; }
  Status hold_descriptors(std::string_view, std::span<const int>) override { return {}; }
  Status hold_image(std::string_view, int) override { return {}; }
  Status drop_descriptors(std::string_view) override {
    dropped = true;
    return {};
  }
  Status copy_disk(const DiskCopyCall&) override { return {}; }
  Result<DiskCopy> disk_copy(std::string_view, std::string_view) override { return DiskCopy{}; }
  Status end_disk_copy(std::string_view, std::string_view, DiskCopyEnd) override { return {}; }
  Result<std::string> ask_qemu(std::string_view, const std::string&) override {
    return fail(ErrorCode::kUnavailable, "It is only a source.");
  }
};

// The destination: answers in order, the last one for ever.
class ScriptedPeer final : public net::PeerTransport {
 public:
  std::deque<Result<std::string>> answers, looks;
  std::vector<std::string> verbs;
  std::function<void()> on_undo;
  Result<std::string> call(std::string_view, std::string_view asked, std::string_view,
                           Deadline) override {
    verbs.emplace_back(asked);
    if (asked == verb::kUndo && on_undo) on_undo();
    if (asked == verb::kVerify) return to_json(VerifyReply{true, "running", 40ms, {}, {}});
    if (asked == verb::kLook && !looks.empty()) return next(looks);
    if (asked != verb::kAnswer) return "{}";
    return next(answers);
  }

 private:
  static Result<std::string> next(std::deque<Result<std::string>>& scripted) {
    auto first = scripted.front();
    if (scripted.size() > 1) scripted.pop_front();
    return first;
  }
};

class LiveMoveSwitch : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("drover-move-" + random_name(8));
    ASSERT_TRUE(make_folder(folder_ / "records", 0700));
    database_ = *journal::Database::open(folder_ / "drover.db");
    journal_.emplace(*journal::MoveJournal::open(*database_));
    book_ = *journal::HostBook::open(*database_);
    records_.emplace(*gate::RecordFolder::open(folder_ / "records", "test"));
    world_.emplace(World{hypervisor_, *journal_, *book_, peer_, *records_, carriage_, slots_,
                         bandwidth_, "host1", "00"});
    job_.move.id = job_.move.epoch = "k3f9x2qa";
    job_.move.source = "host1";
    job_.move.destination = "host2";
    job_.move.phase = Phase::kSwitch;
    job_.move.plan.vm.uuid = kUuid;
    job_.move.plan.vm.name = "web01";
    job_.move.plan.vm.state = VmState::kRunning;
    job_.migrate_called = job_.reserved = job_.carriers_started = true;
    job_.autostart = job_.autostart_cleared = true;
    ASSERT_TRUE(records_->create_source({kUuid, "k3f9x2qa"}, "k3f9x2qa"));
  }
  void TearDown() override {
    database_.reset();
    std::filesystem::remove_all(folder_);
  }
  void record(gate::SourceState state) {
    ASSERT_TRUE(records_->set_source({kUuid, "k3f9x2qa"}, state));
  }
  void answer(Answer answer) { peer_.answers.push_back(to_json(answer)); }
  Move resume() {
    LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
    move.resume(std::stop_token());
    return move.snapshot();
  }

  std::filesystem::path folder_;
  SourceHypervisor hypervisor_;
  ScriptedPeer peer_;
  ScriptedCarriage carriage_;
  Slots slots_;
  Bandwidth bandwidth_;
  std::unique_ptr<journal::Database> database_;
  std::optional<journal::MoveJournal> journal_;
  std::unique_ptr<journal::HostBook> book_;
  std::optional<gate::RecordFolder> records_;
  std::optional<World> world_;
  SourceJob job_;
};

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
  record(gate::SourceState::kSwitching);
  hypervisor_.kind = RunState::Kind::kMigratingOut;
  carriage_.state.gate_alive = true;
  carriage_.state.gate = {.finish_forwarded = true, .in_doubt = true};
  carriage_.state.on_delivery = [&] {
    record(gate::SourceState::kReleased);
    hypervisor_.kind = RunState::Kind::kOff;
  };
  answer({Answer::Kind::kRuns, Answer::Ran::kYes, 3, "runs"});
  EXPECT_EQ(resume().state, MoveState::kDone);
  EXPECT_EQ(carriage_.state.told, std::vector<std::string>{"runs"});
  EXPECT_FALSE(hypervisor_.resumed);
}

// The destination's mover died after FINISH: no answer comes on the road, and the gate awaits it.
TEST_F(LiveMoveSwitch, AnAnswerThatIsLateIsFetched) {
  record(gate::SourceState::kSwitching);
  hypervisor_.kind = RunState::Kind::kMigratingOut;
  carriage_.state.gate_alive = true;
  carriage_.state.gate = {.finish_forwarded = true, .in_doubt = false};
  carriage_.state.on_delivery = [&] {
    record(gate::SourceState::kKept);
    hypervisor_.kind = RunState::Kind::kPaused;
  };
  peer_.looks.push_back(to_json({Answer::Kind::kRefused, {}, 0, "swept"}));
  answer({Answer::Kind::kRefused, {}, 0, "swept"});
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_EQ(carriage_.state.told, std::vector<std::string>{"not_run"});
  EXPECT_TRUE(hypervisor_.resumed);
}

// From then on a break may last as long as the pause budget only; the gate passes it to the mover.
TEST_F(LiveMoveSwitch, TheGateIsToldThatTheGuestStandsStill) {
  record(gate::SourceState::kSwitching);
  hypervisor_.kind = RunState::Kind::kMigratingOut;
  carriage_.state.gate_alive = true;
  carriage_.state.gate = {.finish_forwarded = true, .in_doubt = true};
  carriage_.state.on_delivery = [&] {
    record(gate::SourceState::kReleased);
    hypervisor_.kind = RunState::Kind::kOff;
  };
  answer({Answer::Kind::kRuns, Answer::Ran::kYes, 3, "runs"});
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  move.guest_stopped();
  move.resume(std::stop_token());
  EXPECT_EQ(carriage_.state.told, (std::vector<std::string>{"standstill", "runs"}));
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

// The destination has it: no error here may lead back.
TEST_F(LiveMoveSwitch, AFullDiskAfterTheSwitchIsWaitedFor) {
  record(gate::SourceState::kSwitching);
  record(gate::SourceState::kReleased);
  hypervisor_.kind = RunState::Kind::kOff;
  const auto run = [&](const char* sql) { ASSERT_TRUE(database_->prepare(sql)->run()); };
  run("CREATE TRIGGER full BEFORE INSERT ON jobs BEGIN SELECT RAISE(ABORT, 'disk full'); END");
  const std::jthread room([&] {
    std::this_thread::sleep_for(200ms);
    run("DROP TRIGGER full");
  });
  EXPECT_EQ(resume().state, MoveState::kDone);
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
