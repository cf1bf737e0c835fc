// SPDX-License-Identifier: Apache-2.0
// The main flow of an offline or quick move. Read it top to bottom; each step is journaled before
// it acts.
#include "move/cold/cold_move.h"

#include <algorithm>

#include "base/log.h"

namespace drover::move {

const std::vector<ColdMove::Step<ColdMove>>& ColdMove::steps() {
  static const std::vector<Step<ColdMove>> kSteps = {
      // Nothing has been touched.
      {Phase::kPlan, &ColdMove::plan},
      {Phase::kPlan, &ColdMove::look},
      {Phase::kPlan, &ColdMove::check_layers},
      {Phase::kAdmit, &ColdMove::admit},
      // From here a slot is held on both hosts.
      {Phase::kReserve, &ColdMove::read_files},
      {Phase::kReserve, &ColdMove::reserve},
      // From here space and names are held at the destination; nothing of it is visible there.
      {Phase::kPrepare, &ColdMove::prepare},
      // From here empty images and movers exist. Undo removes them. A VM that is off cannot be
      // started from here on.
      {Phase::kCopyDisks, &ColdMove::copy_disks},
      // Quick: from here the guest stands still; undo restores it here. Offline: its kept memory.
      {Phase::kCopyMemory, &ColdMove::copy_state},
      // From here libvirt here does not know the VM, and the ownership record decides who has it.
      {Phase::kSwitch, &ColdMove::hand_over},
      // From here the VM is the destination's. Only forward.
      {Phase::kVerify, &ColdMove::verify},
      {Phase::kVerify, &ColdMove::prove},
      {Phase::kSettle, &ColdMove::settle},
  };
  return kSteps;
}

ColdMove::ColdMove(World& world, SourceJob job, MoveListener changed)
    : PeerMove(world, std::move(job), std::move(changed)) {}

ColdMove::~ColdMove() = default;

// After a restart of droverd. What copied has ended with it: before the destination was asked to
// take the VM, the move is undone, and tried again. Afterwards the records decide.
void ColdMove::go_on(Phase reached) {
  if (job_.refusal_proven) return undo_after_restart("while the move was being undone");
  if (!job_.migrate_called) return undo_after_restart("before the VM was handed over");
  run_from(std::clamp(reached, Phase::kSwitch, Phase::kSettle));
}

void ColdMove::end(const StepResult& outcome) {
  StepResult result = outcome;
  if (!result && result.error().then == AfterFailure::kUndo) {
    const Error cause = result.error().error;
    if (auto undone = undo(); !undone)
      result = undone;
    else if (!(quick() && is_off_here()) && another_follows(cause))
      return;
  }
  if (!result && result.error().then == AfterFailure::kLeave) {
    log::info("Move {}: left as it is; droverd is stopping.", job_.move.id);
    return;
  }
  if (!result && result.error().then == AfterFailure::kPark) tell_still_out();
  fence_.reset();
  world_.slots.give_back(Slots::Way::kOut, job_.move.id);
  bandwidth_.reset();
  const std::string& host = job_.move.source;
  std::string undone = fmt::format("{} is on {} as before.", vm_name(), host);
  if (quick()) {
    undone = is_off_here() ? fmt::format(
                                 "{0} is off on {1}: it was shut off meanwhile, by its guest "
                                 "or by somebody. virsh start {0}.",
                                 vm_name(), host)
                           : fmt::format("{} runs on {} as before.", vm_name(), host);
  }
  Ending ending{fmt::format("{} is on {}.", vm_name(), job_.move.destination), undone, ""};
  if (rehearsed_ && !result && result.error().then == AfterFailure::kUndo) {
    ending.rehearsed = fmt::format(
        "{} made room for it and both hosts were joined; all of that was "
        "undone. {}",
        job_.move.destination, undone);
  }
  finish(result, ending);
}

// Also that of a droverd before us: a mover that nobody stops waits for links until its patience
// ends.
void ColdMove::end_road() {
  if (!carriers_ && job_.carriers_started) carriers_ = world_.carriage.attach(carrier_name());
  if (carriers_) (void)carriers_->stop();
  carriers_.reset();
  if (job_.carriers_started) world_.carriage.remove_files(carrier_name());
}

// A guest that ran when the move began. Then there is nothing for another attempt to save.
bool ColdMove::is_off_here() const {
  const auto now = world_.hypervisor.run_state(uuid());
  return now && (now->kind == RunState::Kind::kOff || now->kind == RunState::Kind::kAbsent);
}

Status ColdMove::cancel() {
  RETURN_IF_ERROR(check_running());
  const std::lock_guard lock(mutex_);
  if (job_.move.phase >= Phase::kSwitch) {
    return fail(ErrorCode::kConflict,
                "Move {} is handing {} over: it ends by itself. Watch it: drover show {}.",
                job_.move.id, job_.move.plan.vm.name, job_.move.id);
  }
  cancel_asked_ = true;
  return {};
}

// The plan is for a VM in this state.
StepResult ColdMove::look() {
  const auto now = world_.hypervisor.run_state(uuid());
  if (!now) return undo_because(now.error());
  const bool runs = now->kind == RunState::Kind::kRunning || now->kind == RunState::Kind::kPaused;
  if (quick() ? runs : now->kind == RunState::Kind::kOff) return {};
  return undo_because(
      Error{ErrorCode::kConflict,
            Retry::kNow,
            fmt::format("{} is no longer as it was when the plan was made ({}). Ask for the move "
                        "again.",
                        vm_name(), now->reason),
            {}});
}

}  // namespace drover::move
