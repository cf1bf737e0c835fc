// SPDX-License-Identifier: Apache-2.0
// Parts of check_reservation() in destination_phases.cpp: what a plan says of networks and of disks
// that both hosts see.
#include <algorithm>

#include "base/ip_network.h"
#include "hypervisor/image_mark.h"
#include "move/destination/destination_side.h"
#include "move/plan/network_disks.h"

namespace drover::move {
namespace {

bool uses(const Disk& disk, const std::string& path) {
  return disk.path == path ||
         std::ranges::find(disk.backing_chain, path) != disk.backing_chain.end();
}

}  // namespace

Status DestinationSide::check_networks(const Plan& plan, const HostSettings& settings) const {
  if (plan.networks.size() > kNetworksMax) {
    return fail(ErrorCode::kProtocol, "A move has at most {} networks.", kNetworksMax);
  }
  for (const auto& pair : plan.networks) {
    const bool allowed = pair.network == kAnyNetwork
                             ? settings.networks.empty()
                             : lies_in_networks(pair.destination_address, settings.networks);
    if (allowed) continue;
    return fail(ErrorCode::kPolicy,
                "{} takes moves in over {} only, not at {}. Fix: plan the move again, or on {}: "
                "drover settings networks=any.",
                world_.host_name, networks_text(settings.networks), pair.destination_address,
                world_.host_name);
  }
  return {};
}

// A VM is started here on an image that exists already, so the source must show that it has that
// very image: else it could have any VM's disk opened.
Status DestinationSide::check_shared_disks(const ReserveRequest& request,
                                           const std::vector<std::string>& folders) {
  for (const auto& placement : request.plan.placements) {
    if (!placement.shared || is_network(placement)) continue;
    const std::string& path = placement.destination_path;
    const auto mark =
        std::ranges::find(request.marks, placement.target, &preflight::DiskMark::target);
    const auto not_shown = [&](const std::string& why) {
      return fail(ErrorCode::kPolicy,
                  "{} is not shown to be the disk {} that {} uses at the source: {}. Fix: plan the "
                  "move again.",
                  path, placement.target, request.plan.vm.name, why);
    };
    if (mark == request.marks.end()) return not_shown("no mark was made on it");
    const auto found = find_mark(path, mark->where.start, folders);
    if (!found) return not_shown(found.error().text());
    if (!*found || **found != mark->where) return not_shown("it does not bear the source's mark");
    ASSIGN_OR_RETURN(const auto vms, world_.hypervisor.list_vms());
    for (const auto& vm : vms) {
      if (vm.uuid == request.plan.vm.uuid) continue;
      if (std::ranges::any_of(vm.disks, [&](const Disk& disk) { return uses(disk, path); })) {
        return fail(ErrorCode::kConflict, "{} is also a disk of {} on {}.", path, vm.name,
                    world_.host_name);
      }
    }
  }
  return {};
}

}  // namespace drover::move
