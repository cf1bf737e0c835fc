// SPDX-License-Identifier: Apache-2.0
// This host was said to be lost while it had a VM, and is back: the VM is the source's again, by an
// administrator's word (docs/resolve.md). What came here is put aside, never deleted: nobody proved
// anything.
#include "base/log.h"
#include "move/destination/destination_side.h"

namespace drover::move {

Status DestinationSide::abandon(Entry& entry) {
  if (entry.job.undone) return {};
  const std::string& vm = entry.job.plan.vm.name;
  if (entry.job.settled) {
    return fail(ErrorCode::kConflict, "Move {} of {} was settled on {}: it is no more in doubt.",
                entry.job.move_id, vm, world_.host_name);
  }
  if (!entry.job.prepared || entry.job.undoing) return undo(entry);
  ASSIGN_OR_RETURN(const RunState state, world_.hypervisor.run_state(entry.job.plan.vm.uuid));
  if (state.kind != RunState::Kind::kOff && state.kind != RunState::Kind::kAbsent) {
    return fail(ErrorCode::kInDoubt,
                "{0} is on {1} ({2}), and {3} took it back because {1} was said to be lost: it may "
                "run twice. Stop one of them: virsh destroy {0}.",
                vm, world_.host_name, state.reason, entry.job.peer);
  }
  log::warning("Move {} of {} from {}: taken back by it while {} was said to be lost.",
               entry.job.move_id, vm, entry.job.peer, world_.host_name);
  // Kept before anything goes: an undo that was broken off puts aside as well.
  entry.job.abandoned = entry.job.undoing = true;
  if (auto saved = save(entry); !saved) {
    entry.job.abandoned = entry.job.undoing = false;
    return saved;
  }
  return undo(entry);
}

// Nothing refused it here, so nothing may end it here.
Status DestinationSide::undefine_abandoned(Entry& entry) {
  const std::string& uuid = entry.job.plan.vm.uuid;
  ASSIGN_OR_RETURN(const RunState state, world_.hypervisor.run_state(uuid));
  if (state.kind == RunState::Kind::kAbsent) return {};
  if (state.kind == RunState::Kind::kOff) return undefine(uuid);
  return fail(ErrorCode::kInDoubt, "{} was started on {} meanwhile ({}).", entry.job.plan.vm.name,
              world_.host_name, state.reason);
}

}  // namespace drover::move
