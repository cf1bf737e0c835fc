// SPDX-License-Identifier: Apache-2.0
// Moves that need a person: what is parked leaves its VM in doubt until an administrator's word on
// it, which is checked, handed to the move that is in doubt, or a parked one goes on with it.
#include "base/log.h"
#include "move/engine.h"

namespace drover::move {
namespace {

constexpr int kJobsLooked = 1000;  // the newest: parked ones at start, and arrivals since

// By a move of ours that was planned when the parked one had ended. Its plan was made elsewhere,
// but clocks would have to differ by more than a VM's whole stay here.
bool brought_back(const DestinationJob& job, const Move& parked) {
  return job.settled && !job.abandoned && job.plan.vm.uuid == parked.plan.vm.uuid &&
         job.plan.made_at > parked.ended_at.value_or(parked.started_at);
}

}  // namespace

Status Engine::find_parked() {
  ASSIGN_OR_RETURN(const auto jobs,
                   world_.journal.newest_jobs(journal::Side::kSource, kJobsLooked));
  const std::string parked = fmt::format("\"{}\"", move_state_name(MoveState::kParked));
  const std::lock_guard lock(mutex_);
  for (const auto& text : jobs) {
    if (!text.contains(parked)) continue;  // spares reading it
    const auto job = source_job_from_json(text);
    if (job && job->move.state == MoveState::kParked)
      parked_[job->move.id] = job->move.plan.vm.uuid;
  }
  return {};
}

// Its other host may run the VM: who changes it here, or moves it, makes two of one.
Status Engine::check_no_doubt(const Vm& vm) const {
  std::vector<std::string> ids;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, uuid] : parked_) {
      if (uuid == vm.uuid) ids.push_back(id);
    }
    for (const auto& [id, entry] : running_) {
      const Move move = entry->move->snapshot();
      if (move.state == MoveState::kParked && move.plan.vm.uuid == vm.uuid) ids.push_back(id);
    }
  }
  for (const std::string& id : ids) {
    ASSIGN_OR_RETURN(const bool doubtful, leaves_in_doubt(id));
    if (!doubtful) continue;
    return fail(ErrorCode::kConflict,
                "{} is in doubt: its move {} is parked. What to do: drover show {}. Then: drover "
                "resolve {}.",
                vm.name, id, id, id);
  }
  return {};
}

// A storage move has one host only. Of one whose destination was removed after it had proven that
// the VM runs there, nothing is left to resolve.
Result<bool> Engine::leaves_in_doubt(std::string_view parked) const {
  ASSIGN_OR_RETURN(const auto text, world_.journal.job(journal::Side::kSource, parked));
  ASSIGN_OR_RETURN(const SourceJob job, source_job_from_json(text));
  const Move& move = job.move;
  if (move.plan.kind == MoveKind::kStorage) return false;
  const auto peer = world_.book.find_peer(move.destination);
  if (move.phase >= Phase::kSettle && !peer && peer.error().code == ErrorCode::kNotFound)
    return false;
  ASSIGN_OR_RETURN(const auto arrivals,
                   world_.journal.newest_jobs(journal::Side::kDestination, kJobsLooked));
  for (const auto& arrival : arrivals) {
    ASSIGN_OR_RETURN(const DestinationJob job_here, destination_job_from_json(arrival));
    if (brought_back(job_here, move)) return false;
  }
  return true;
}

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
  // Another parked one may go on after it.
  RETURN_IF_ERROR(check_unused(job.move.plan.vm));
  job.move.state = MoveState::kRunning;
  job.move.resolution = resolution;
  job.move.error.reset();
  job.move.ended_at.reset();
  RETURN_IF_ERROR(
      world_.journal.save(journal::Side::kSource, id, journal::JobState::kOpen, to_json(job)));
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = parked_.find(id); it != parked_.end()) parked_.erase(it);
  }
  log::warning("Move {}: {} says that {} runs on {}; it goes on.", id, resolution.by,
               job.move.plan.vm.name, resolution.runs_on);
  changed_(MoveChange::kState, job.move);
  launch(std::move(job), &MoveWork::resume);
  return {};
}

}  // namespace drover::move
