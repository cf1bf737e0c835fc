// SPDX-License-Identifier: Apache-2.0
// An administrator's word on a move: checked, handed to the move that is in doubt, or a parked one
// goes on with it.
#include "base/log.h"
#include "move/engine.h"

namespace drover::move {

Result<Move> Engine::resolve(std::string_view id, const Claim& claim) {
  ASSIGN_OR_RETURN(const Move now, move(id));
  ASSIGN_OR_RETURN(const Resolution resolution, check_claim(world_, now, claim));
  const std::lock_guard starting(starting_);  // nobody else begins with this VM meanwhile
  if (now.state == MoveState::kParked) {
    RETURN_IF_ERROR(go_on(id, resolution));
    return move(id);
  }
  const std::lock_guard lock(mutex_);
  const auto it = running_.find(id);
  if (it == running_.end() || !it->second->thread.joinable()) {
    return fail(ErrorCode::kConflict, "Move {} changes just now. Look at it again: drover show {}.",
                id, id);
  }
  RETURN_IF_ERROR(it->second->move->resolve(resolution));
  return it->second->move->snapshot();
}

// A parked move is taken up where it was left: its phases ask everybody again.
Status Engine::go_on(std::string_view id, const Resolution& resolution) {
  reap();
  ASSIGN_OR_RETURN(const auto text, world_.journal.job(journal::Side::kSource, id));
  ASSIGN_OR_RETURN(SourceJob job, source_job_from_json(text));
  if (job.move.state != MoveState::kParked)
    return fail(ErrorCode::kConflict, "Move {} is not parked any more.", id);
  if (const std::string other = moving(job.move.plan.vm.uuid); !other.empty()) {
    return fail(ErrorCode::kConflict, "{} is in another move ({}).", job.move.plan.vm.name, other);
  }
  job.move.state = MoveState::kRunning;
  job.move.resolution = resolution;
  job.move.error.reset();
  job.move.ended_at.reset();
  RETURN_IF_ERROR(
      world_.journal.save(journal::Side::kSource, id, journal::JobState::kOpen, to_json(job)));
  log::warning("Move {}: {} says that {} runs on {}; it goes on.", id, resolution.by,
               job.move.plan.vm.name, resolution.runs_on);
  changed_(MoveChange::kState, job.move);
  launch(std::move(job), &MoveWork::resume);
  return {};
}

}  // namespace drover::move
