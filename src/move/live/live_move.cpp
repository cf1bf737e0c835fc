// SPDX-License-Identifier: Apache-2.0
// The main flow of a live move. Read it top to bottom; each step is journaled before it acts.
#include "move/live/live_move.h"

#include <algorithm>
#include <array>

#include "base/big_endian.h"
#include "base/log.h"
#include "base/random.h"
#include "net/link_preamble.h"

namespace drover::move {

namespace {

// Which numbers the droverd before us used is not known; any start is as good.
std::uint16_t some_link_number() {
  std::array<std::uint8_t, 2> random{};
  fill_random(random);
  return static_cast<std::uint16_t>(load_be<std::uint16_t>(random.data()) % net::kPreambleLinkMax +
                                    1);
}

}  // namespace

const std::vector<LiveMove::Step<LiveMove>>& LiveMove::steps() {
  static const std::vector<Step<LiveMove>> kSteps = {
      // The VM runs on the source. Nothing has been touched.
      {Phase::kPlan, &LiveMove::plan},
      {Phase::kAdmit, &LiveMove::admit},
      // From here a slot is held on both hosts.
      {Phase::kReserve, &LiveMove::read_files},
      {Phase::kReserve, &LiveMove::reserve},
      // From here memory, space and names are held at the destination; nothing of it is visible
      // there.
      {Phase::kPrepare, &LiveMove::prepare},
      // From here images, gates and movers exist. Undo removes them; the VM never notices.
      {Phase::kCopyDisks, &LiveMove::copy},  // and kCopyMemory: libvirt's one call does both
      // From here the ownership record decides who may run the VM, not the outcome of any call.
      {Phase::kSwitch, &LiveMove::settle_switch},
      // From here the VM runs on the destination. Only forward.
      {Phase::kVerify, &LiveMove::verify},
      {Phase::kVerify, &LiveMove::prove},
      {Phase::kSettle, &LiveMove::settle},
  };
  return kSteps;
}

// After a restart of droverd. Before libvirt was called there is nothing worth saving: undo. While
// it copies, gate, mover and libvirt went on without us: watch them again. Afterwards: forward, or,
// with the proof that it never ran there, back to the end.
void LiveMove::go_on(Phase reached) {
  if (!job_.migrate_called) return undo_after_restart("before the copy began");
  // The record that proved it may be gone already: it is removed as the undo's last step.
  if (job_.refusal_proven) return undo_after_restart("while the move was being undone");
  carriers_ = world_.carriage.attach(carrier_name());
  keeper_.emplace(job_.move.epoch, path_count(), some_link_number());
  memory_begun_ = reached >= Phase::kCopyMemory;
  run_from(reached <= Phase::kSwitch ? Phase::kCopyDisks : reached);
}

StepResult LiveMove::begin(Phase phase) {
  if (job_.move.phase > phase || phase == Phase::kSwitch) return {};
  return MoveWork::begin(phase);
}

void LiveMove::end(const StepResult& result) {
  if (!result && result.error().then == AfterFailure::kLeave) {
    log::info("Move {}: left as it is; droverd is stopping.", job_.move.id);
    return;
  }
  if (!result && result.error().then == AfterFailure::kUndo) {
    if (!undo() || (!given_up_ && another_follows(result.error().error))) return;
  }
  if (!result && result.error().then == AfterFailure::kPark) tell_still_out();
  world_.slots.give_back(Slots::Way::kOut, job_.move.id);
  bandwidth_.reset();
  const Move& move = job_.move;
  Ending ending{
      fmt::format("{} runs on {}.", vm_name(), move.destination),
      fmt::format("{} runs on {} as before.", vm_name(), move.source),
      "",
  };
  if (rehearsed_ && !result && result.error().then == AfterFailure::kUndo)
    ending.rehearsed =
        fmt::format("{} started it and both hosts were joined; all of that was undone. {}",
                    move.destination, ending.undone);
  finish(result, ending);
}

void LiveMove::ended(Move& move) {
  if (move.state == MoveState::kDone)
    begin_health(move, world_.book.settings().health_watch);
  else
    move.health.reset();
}

// From now on the engine's HealthWatch looks after it; the move itself is over.
void LiveMove::begin_health(Move& move, std::chrono::seconds watch) const {
  if (watch.count() == 0 || move.plan.vm.state != VmState::kRunning) return move.health.reset();
  if (!move.health) move.health.emplace();
  move.health->state = Health::State::kWatching;
  move.health->since = *move.ended_at;
  move.health->until = *move.ended_at + watch;
}

LiveMove::LiveMove(World& world, SourceJob job, MoveListener changed)
    : PeerMove(world, std::move(job), std::move(changed)), slowing_settled_(job_.migrate_called) {}

LiveMove::~LiveMove() = default;

Status LiveMove::cancel() {
  RETURN_IF_ERROR(check_running());
  const Move move = snapshot();
  if (move.phase >= Phase::kSwitch) {
    return fail(ErrorCode::kConflict,
                "Move {} is in its switch: it ends by itself, on one host or the other. Watch it: "
                "drover show {}.",
                move.id, move.id);
  }
  cancel_asked_ = true;
  return {};
}

void LiveMove::entering(Move& move, Phase phase) {
  if (phase < Phase::kSwitch || !sampler_) return;
  sampler_->stop();
  if (!move.health) move.health.emplace().before = sampler_->seen();
}

Move LiveMove::snapshot() const {
  const std::lock_guard lock(mutex_);
  Move move = job_.move;
  if (policy_asked_) move.convergence = *policy_asked_;
  return move;
}

}  // namespace drover::move
