// SPDX-License-Identifier: Apache-2.0
#include "fit/fitting.h"

#include <algorithm>

#include "move/planner.h"

namespace drover::fit {

Result<Mobility> Fitting::mobility(std::string_view vm) {
  std::vector<Vm> vms;
  if (vm.empty()) {
    vms = inventory_.here();
  } else {
    ASSIGN_OR_RETURN(vms.emplace_back(), world_.hypervisor.find_vm(vm));
  }
  MobilityView view;
  view.host = world_.host_name;
  for (const Peer& peer : world_.book.peers()) {
    if (peer.state == PeerState::kPaired && peer.rights.receive) view.hosts.push_back(peer.name);
  }
  view.plan = [this](const MoveRequest& request) -> Result<Plan> {
    ASSIGN_OR_RETURN(auto planned, move::plan_move(world_, request));
    mark_fixable(planned.plan, world_.host_name);
    return std::move(planned.plan);
  };
  view.moving = [this](std::string_view uuid) { return engine_.moving(uuid); };
  return look_for_places(view, vms);
}

}  // namespace drover::fit
