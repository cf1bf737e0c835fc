// SPDX-License-Identifier: Apache-2.0
#include "backend.h"

#include "base/log.h"
#include "move/residue/quarantine.h"

namespace drover::droverd {

Result<HostFacts> Backend::host_facts() { return world_.hypervisor.host_facts(); }

Result<std::vector<Vm>> Backend::vms() { return inventory_.here_now(); }

Result<Plan> Backend::make_plan(const MoveRequest& request) {
  ASSIGN_OR_RETURN(Plan plan, placer_.plan(request));
  fit::mark_fixable(plan, world_.host_name);
  return plan;
}
Result<Plan> Backend::plan(std::string_view id) { return engine_.kept_plan(id); }

Result<Move> Backend::start_move(const PlanApproval& approval) {
  return engine_.start_planned(approval);
}

Result<Move> Backend::start_move(const MoveRequest& request) { return placer_.start(request); }
Result<std::vector<Move>> Backend::moves() { return engine_.moves(); }
Result<Move> Backend::move(std::string_view id) { return engine_.move(id); }

Result<Move> Backend::cancel_move(std::string_view id, std::string_view requested_by) {
  log::info("Move {}: {} asks for an end.", id, requested_by);
  return engine_.cancel(id);
}

Result<Move> Backend::resolve_move(std::string_view id, const api::MoveClaim& claim) {
  log::info("Move {}: {} says that its VM runs on {}.", id, claim.requested_by, claim.runs_on);
  return engine_.resolve(id, {claim.runs_on, claim.peer_is_lost, claim.requested_by});
}

Result<std::vector<std::string>> Backend::replug_vm(std::string_view name_or_uuid,
                                                    std::string_view requested_by) {
  ASSIGN_OR_RETURN(const Vm vm, world_.hypervisor.find_vm(name_or_uuid));
  if (const std::string move = engine_.moving(vm.uuid); !move.empty()) {
    return fail(ErrorCode::kConflict, "{} is moving (move {}). Watch it: drover watch {}.", vm.name,
                move, move);
  }
  RETURN_IF_ERROR(engine_.check_no_doubt(vm));
  if (vm.state != VmState::kRunning && vm.state != VmState::kPaused) {
    return fail(ErrorCode::kConflict, "{} does not run here: it has no network to be plugged into.",
                vm.name);
  }
  log::info("{} asks to replug the network of {}.", requested_by, vm.name);
  return world_.hypervisor.replug(vm.uuid);
}

Result<Move> Backend::converge_move(std::string_view id, const Convergence& policy,
                                    std::string_view requested_by) {
  log::info("Move {}: {} asks for the convergence policy {}.", id, requested_by,
            convergence_text(policy));
  return engine_.converge(id, policy);
}

Result<std::vector<Move>> Backend::queue() { return engine_.queue(); }

Result<Move> Backend::hold_move(std::string_view id, bool held, std::string_view requested_by) {
  log::info("Move {}: {} {} it.", id, requested_by, held ? "holds" : "releases");
  return engine_.hold(id, held);
}

Result<Move> Backend::set_priority(std::string_view id, int priority,
                                   std::string_view requested_by) {
  log::info("Move {}: {} asks for the priority {}.", id, requested_by, priority);
  return engine_.set_priority(id, priority);
}

Result<BestChoice> Backend::best_host(const BestRequest& request) { return placer_.best(request); }

Result<Evacuation> Backend::plan_evacuation(const EvacuationRequest& request) {
  return evacuator_.plan(request);
}

Result<Evacuation> Backend::start_evacuation(const EvacuationRequest& request) {
  return evacuator_.start(request);
}

Result<std::vector<Evacuation>> Backend::evacuations() { return evacuator_.list(); }

Result<Evacuation> Backend::cancel_evacuation(std::string_view requested_by) {
  log::info("{} asks for an end of the evacuation.", requested_by);
  return evacuator_.cancel(requested_by);
}

Result<Archive> Backend::plan_archive(const ArchiveRequest& request) {
  return archivist_.plan(request);
}

Result<Archive> Backend::start_archive(const ArchiveRequest& request) {
  return archivist_.start(request);
}

Result<std::vector<Archive>> Backend::archives() { return archivist_.list(); }
Result<Archive> Backend::archive(std::string_view id) { return archivist_.find(id); }

Result<Archive> Backend::cancel_archive(std::string_view id, std::string_view requested_by) {
  log::info("Export or import {}: {} asks for an end.", id, requested_by);
  return archivist_.cancel(id);
}

Result<Archive> Backend::give_up_archive(std::string_view id, std::string_view requested_by) {
  log::info("Export or import {}: {} gives its undo up.", id, requested_by);
  return archivist_.give_up(id);
}

Result<std::vector<QuarantinedDisk>> Backend::quarantine() {
  ASSIGN_OR_RETURN(auto kept, world_.journal.quarantine());
  const auto memories = world_.memories->list(world_.book.settings());
  kept.insert(kept.end(), memories.begin(), memories.end());
  return kept;
}

Status Backend::restore_quarantine(std::string_view move_id, std::string_view requested_by) {
  log::info("Quarantine of move {}: {} asks to restore it.", move_id, requested_by);
  return move::restore_quarantine(world_, move_id);
}

Status Backend::drop_quarantine(std::string_view move_id, std::string_view requested_by) {
  log::info("Quarantine of move {}: {} asks to drop it.", move_id, requested_by);
  const bool had_memory = world_.memories->drop(move_id);
  const Status dropped = move::drop_quarantine(world_, move_id);
  if (!dropped && dropped.error().code == ErrorCode::kNotFound && had_memory) return {};
  return dropped;
}

Result<std::vector<Finding>> Backend::doctor() {
  return move::examine(world_, inventory_, doctor_);
}

Status Backend::fix(std::string_view name, std::string_view requested_by) {
  log::info("{} asks for the fix {}.", requested_by, name);
  return move::apply_fix(world_, name, doctor_);
}

}  // namespace drover::droverd
