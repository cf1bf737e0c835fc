// SPDX-License-Identifier: Apache-2.0
// Parts of check_reservation() in destination_phases.cpp: what a plan says of networks and of disks
// that both hosts see.
#include <algorithm>

#include "base/ip_network.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/image_mark.h"
#include "move/destination/destination_side.h"
#include "move/plan/network_disks.h"

namespace drover::move {
namespace {

bool uses(const Disk& disk, const std::string& path) {
  return disk.path == path ||
         std::ranges::find(disk.backing_chain, path) != disk.backing_chain.end();
}

// Discs in drives are everybody's.
bool has_disk(const Vm& vm, const std::string& path) {
  return std::ranges::any_of(vm.disks, [&](const Disk& disk) {
    return disk.device == DiskDevice::kDisk && uses(disk, path);
  });
}

}  // namespace

// The gate asks of a path only whether it lies in an allowed folder. What a definition names beside
// the plan, such as a disc in a drive, is no other VM's disk.
Status DestinationSide::check_named_disks(const ReserveRequest& request) {
  const auto is_planned = [&](const std::string& path) {
    return std::ranges::find(request.plan.placements, path, &DiskPlacement::destination_path) !=
               request.plan.placements.end() ||
           std::ranges::find(request.plan.files, path, &FilePlacement::destination_path) !=
               request.plan.files.end();
  };
  ASSIGN_OR_RETURN(const auto vms, world_.hypervisor.list_vms());
  for (const auto* xml : {&request.destination_xml, &request.persistent_xml}) {
    ASSIGN_OR_RETURN(const DomainFacts domain, parse_domain(*xml));
    for (const DiskFacts& facts : domain.disks) {
      for (const std::string& path : facts.files) {
        if (is_planned(path)) continue;
        const auto owner = std::ranges::find_if(vms, [&](const Vm& vm) {
          return vm.uuid != request.plan.vm.uuid && has_disk(vm, path);
        });
        if (owner == vms.end()) continue;
        return fail(ErrorCode::kPolicy,
                    "{} of {} would be {}, which is a disk of {} on {}, and the plan does not name "
                    "it.",
                    facts.disk.target, request.plan.vm.name, path, owner->name, world_.host_name);
      }
    }
  }
  return {};
}

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
