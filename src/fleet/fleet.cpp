// SPDX-License-Identifier: Apache-2.0
#include "fleet/fleet.h"

#include <unordered_set>

namespace drover::fleet {

Status check_fleet(const Fleet& fleet) {
  std::unordered_set<std::string_view> hosts, vms, moving;
  for (const FleetHost& host : fleet.hosts) {
    if (!hosts.insert(host.name).second)
      return fail(ErrorCode::kInvalidArgument, "The fleet has two hosts called {}.", host.name);
  }
  for (const FleetVm& vm : fleet.vms) {
    if (!vms.insert(vm.id).second)
      return fail(ErrorCode::kInvalidArgument, "The fleet has VM {} twice.", vm.id);
    if (!hosts.contains(vm.host)) {
      return fail(ErrorCode::kInvalidArgument, "{} is on {}, which is not in the fleet.", vm.name,
                  vm.host);
    }
  }
  for (const RunningMove& move : fleet.running) {
    if (!vms.contains(move.vm) || !hosts.contains(move.destination)) {
      return fail(ErrorCode::kInvalidArgument,
                  "A move of VM {} to {} is under way, and the fleet has not both.", move.vm,
                  move.destination);
    }
    if (!moving.insert(move.vm).second)
      return fail(ErrorCode::kInvalidArgument, "VM {} is in two moves.", move.vm);
  }
  return {};
}

}  // namespace drover::fleet
