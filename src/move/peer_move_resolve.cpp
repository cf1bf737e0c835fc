// SPDX-License-Identifier: Apache-2.0
// An administrator's word in a move (docs/resolve.md). It never goes before an answer of the
// destination: only where that stays silent, and is said to be lost for good, the source takes the
// VM back without it.
#include <utility>

#include "base/log.h"
#include "move/peer_move.h"
#include "move/resolve.h"

namespace drover::move {

Status PeerMove::resolve(const Resolution& resolution) {
  const std::lock_guard lock(mutex_);
  if (job_.move.state != MoveState::kRunning || cancel_asked_) {
    return fail(ErrorCode::kConflict, "Move {} has ended already ({}).", job_.move.id,
                move_state_name(job_.move.state));
  }
  resolution_asked_ = resolution;
  return {};
}

// The word is in the journal before it is followed.
bool PeerMove::take_resolution() {
  std::optional<Resolution> said;
  {
    const std::lock_guard lock(mutex_);
    said = std::exchange(resolution_asked_, std::nullopt);
  }
  if (!said) return true;
  log::warning("Move {}: {} says that {} runs on {}{}.", job_.move.id, said->by,
               job_.move.plan.vm.name, said->runs_on,
               said->peer_is_lost ? " and that " + job_.move.destination + " is lost" : "");
  const auto written = put_down([&](Move& move) { move.resolution = said; });
  if (written) return true;
  log::error("Move {}: {}", job_.move.id, written.error().text());
  const std::lock_guard lock(mutex_);
  if (!resolution_asked_) resolution_asked_ = said;
  return false;
}

// The destination failed to answer so: may the VM be taken back without it?
bool PeerMove::destination_is_lost(const Error& silence) {
  if (!take_resolution()) return false;
  const auto& said = job_.move.resolution;
  if (!said || !said->peer_is_lost || said->runs_on != job_.move.source) return false;
  if (is_silent(world_, job_.move.destination, silence)) return true;
  if (silence.code != ErrorCode::kNotFound) return false;
  // It is back, without its journal: whether the VM is too, is asked anew.
  const Status gone = check_unknown_there(world_, job_.move);
  if (!gone) log::warning("Move {}: {}", job_.move.id, gone.error().text());
  return gone.has_value();
}

// It answers, so it is not lost, whatever was said: that word must never be followed later, in
// another silence. False: the journal still has it.
bool PeerMove::withdraw_word() {
  {
    const std::lock_guard lock(mutex_);
    if (resolution_asked_ && resolution_asked_->peer_is_lost) resolution_asked_.reset();
    if (!job_.move.resolution || !job_.move.resolution->peer_is_lost) return true;
  }
  const Resolution said = *job_.move.resolution;
  log::warning("Move {}: {} said that {} is lost, but it answers.", job_.move.id, said.by,
               job_.move.destination);
  const auto written = put_down([](Move& move) { move.resolution.reset(); });
  if (!written) log::error("Move {}: {}", job_.move.id, written.error().text());
  return written.has_value();
}

std::string PeerMove::taken_back() const {
  const auto state = world_.hypervisor.run_state(uuid());
  if (!state || state->kind != RunState::Kind::kOff) return "It goes on from the switch.";
  return fmt::format("It is off, its disks are as they were at the switch: virsh start {}.",
                     vm_name());
}

// What is left here becomes the VM again. Written down first, like a proven refusal: whatever the
// destination may say later comes too late.
StepResult PeerMove::give_up_destination() {
  const std::string now = taken_back();
  job_.refusal_proven = true;
  job_.abandon = true;
  const auto written = put_down([&](Move& move) {
    move.runner = Runner::kSource;
    move.explanation = fmt::format(
        "{0} was taken back to {1}, for {2} said that {3} is lost. {4} What it did on {3} since is "
        "gone. Should {3} come back, its copy must not be started; once its droverd answers, it "
        "puts that copy aside.",
        move.plan.vm.name, move.source, move.resolution->by, move.destination, now);
  });
  if (!written)
    return parked(written.error(), "The journal cannot be written; nothing was resumed.");
  const Move& move = job_.move;
  return std::unexpected(StepFailure{
      AfterFailure::kUndo,
      Error{ErrorCode::kUnavailable,
            Retry::kNever,
            fmt::format("{} was given up, as {} said.", move.destination, move.resolution->by),
            {}}});
}

}  // namespace drover::move
