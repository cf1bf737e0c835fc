// SPDX-License-Identifier: Apache-2.0
#include "fit/fitting.h"

#include <algorithm>

#include "base/deadline.h"
#include "move/plan/planner.h"

namespace drover::fit {
namespace {

// A plan that was begun within it may take as long as its host's answer.
constexpr std::chrono::seconds kLookLimit{45};

}  // namespace

Fitting::Fitting(move::World& world, move::Engine& engine, move::Inventory& inventory,
                 net::PeerHandler& others)
    : world_(world),
      engine_(engine),
      inventory_(inventory),
      while_free_([&engine](const Vm& vm, const std::function<Status()>& change) {
        return engine.while_free(vm, change);
      }),
      peer_side_(world, others) {}

Result<CpuCompat> Fitting::cpu_compat(const CpuWish& wish) {
  return fit::cpu_compat(world_, while_free_, wish);
}

Result<std::vector<AppliedFix>> Fitting::apply_fix(const Plan& plan, std::string_view code,
                                                   std::string_view requested_by) {
  return fit::apply_fix(world_, while_free_, plan, code, requested_by);
}

Result<AppliedFix> Fitting::undo_fix(std::string_view id) {
  return fit::undo_fix(world_, while_free_, id);
}

Result<Mobility> Fitting::mobility(std::string_view vm) {
  std::vector<Vm> vms;
  if (vm.empty()) {
    vms = inventory_.here_now();
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
  view.in_doubt = [this](const Vm& one) { return engine_.check_no_doubt(one); };
  const Deadline limit = Deadline::after(kLookLimit);
  view.over = [this, limit] { return leaving_ || limit.expired(); };
  return look_for_places(view, vms);
}

}  // namespace drover::fit
