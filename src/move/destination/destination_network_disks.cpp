// SPDX-License-Identifier: Apache-2.0
// Network disks of a VM that comes here: whether this host may open them, and reads there what the
// source reads (move/plan/network_disks.h).
#include <algorithm>

#include "base/log.h"
#include "model/network_disk.h"
#include "move/destination/destination_side.h"
#include "move/destination/network_disk_rules.h"
#include "move/plan/network_disk_count.h"
#include "move/plan/network_disks.h"
#include "move/plan/network_marks.h"
#include "preflight/finding.h"

namespace drover::move {
namespace {

// What lets a VM have it, by all of its servers.
std::string settings_for(const DiskFacts& disk) {
  std::string changes;
  for (const std::string& uri : network_uris(disk))
    changes += " " + preflight::word("network-disks+=" + uri);
  return "drover settings" + changes;
}

Finding not_allowed(const DiskFacts& disk, const std::string& host) {
  return network_disk_blocker(
      disk.disk.target,
      fmt::format("{} is the network disk {}, which VMs that come to {} may not have.",
                  disk.disk.target, network_uri(disk), host),
      "The administrator of a host says what others may have opened there.",
      {fmt::format("On {}: {}", host, settings_for(disk))});
}

Finding not_seen(const DiskFacts& disk, const std::string& host, const Error& error) {
  return network_disk_blocker(
      disk.disk.target,
      fmt::format("{} is a network disk, which {} cannot use.", disk.disk.target, host),
      error.text(),
      {fmt::format("Let {} reach it, with the secret that it asks for, and serve it to several "
                   "connections at once.",
                   host)});
}

Result<std::vector<NetworkDiskUser>> users_here(Hypervisor& hypervisor, const std::string& uuid) {
  ASSIGN_OR_RETURN(const auto vms, hypervisor.list_vms());
  return network_disk_users(vms, uuid, [&](std::string_view vm, DefinitionKind kind) {
    return hypervisor.definition(vm, kind);
  });
}

// The VM is started here on a disk that exists already: the source must know what is on it. QEMU
// may take any of its servers, and an administrator may allow servers that have nothing in common:
// each that shows a disk of this name has to show this one.
Status check_shown(const ReserveRequest& request, const DiskPlacement& placement,
                   const DiskFacts& disk, NetworkLook& look) {
  const std::string& target = placement.target;
  const std::string uri = network_uri(disk);
  const auto not_shown = [&](const std::string& why) {
    return fail(ErrorCode::kPolicy,
                "{} is not shown to be the disk {} that {} uses at the source: {}. Fix: plan the "
                "move again.",
                uri, target, request.plan.vm.name, why);
  };
  auto opened = NetworkDisk::open_through_all(disk, request.plan.vm.uuid, look);
  if (!opened) return not_shown(opened.error().text());
  const auto told = marks_of(request.marks, target);
  for (NetworkDisk& shown : *opened) {
    if (shown.name() != placement.destination_path)
      return not_shown(fmt::format("it is reached as {} now", shown.name()));
    if (shown.size() != placement.virtual_size)
      return not_shown(fmt::format("it has {} now", to_text(shown.size())));
    const auto found = shown.read_marks(target, MarkUse::kReservation, told, look.deadline);
    if (!found) return not_shown(found.error().text());
    if (const std::string why = not_shown_by(told, *found); !why.empty()) return not_shown(why);
  }
  return {};
}

struct Seen {
  std::string name;
  ByteCount size;
  std::vector<preflight::DiskMark> marks;
};

// What the blocks that the source chose hold here. What a reservation would find, a plan tells:
// each server that shows a disk of this name shows the same one, but for what its guest writes
// meanwhile.
Result<Seen> read_through_all(const DiskFacts& disk, const std::string& vm_uuid,
                              const std::vector<preflight::DiskMark>& at, NetworkLook& look) {
  const std::string& target = disk.disk.target;
  ASSIGN_OR_RETURN(auto opened, NetworkDisk::open_through_all(disk, vm_uuid, look));
  Seen first{opened.front().name(), opened.front().size(), {}};
  for (NetworkDisk& shown : opened) {
    ASSIGN_OR_RETURN(auto marks, shown.read_marks(target, MarkUse::kReport, at, look.deadline));
    if (first.marks.empty())
      first.marks = std::move(marks);
    else if (shown.size() != first.size || !not_shown_by(first.marks, marks).empty())
      return fail(ErrorCode::kPolicy, "Its servers do not show one disk: {}.", first.name);
  }
  return first;
}

}  // namespace

// Nothing is connected to that this host's administrator does not allow: a peer must not learn what
// answers in our networks.
void DestinationSide::look_at_network_disks(const preflight::Proposal& proposal,
                                            const HostSettings& settings,
                                            preflight::DestinationReport& report) const {
  const auto domain = parse_domain(proposal.live_xml);
  if (!domain) return;  // said already
  const auto disks = network_disks_in(*domain);
  if (const auto few = check_few(disks); !few) {
    report.findings.push_back(not_seen(disks.front(), world_.host_name, few.error()));
    return;
  }
  NetworkLook look = look_at_disks(secrets_of(world_.hypervisor));
  for (const DiskFacts& disk : disks) {
    const std::string& target = disk.disk.target;
    const auto marks = marks_of(proposal.marks, target);
    const std::string uri = network_uri(disk);
    if (uri.empty() || marks.empty()) continue;  // the source says why
    if (!admits_servers_of(settings.network_disks, disk)) {
      report.findings.push_back(not_allowed(disk, world_.host_name));
      continue;
    }
    auto seen = read_through_all(disk, proposal.vm.uuid, marks, look);
    if (!seen) {
      report.findings.push_back(not_seen(disk, world_.host_name, seen.error()));
      continue;
    }
    if (is_own_of_both(seen->name, report.host, proposal.source)) {
      const Error own{ErrorCode::kPolicy,
                      Retry::kNever,
                      fmt::format("At {} each host reaches itself.", seen->name),
                      {}};
      report.findings.push_back(not_seen(disk, world_.host_name, own));
      continue;
    }
    const auto users = users_here(world_.hypervisor, proposal.vm.uuid);
    const std::string taken = users ? taken_by(disk.network, *users) : users.error().text();
    if (!taken.empty()) {
      report.findings.push_back(
          not_seen(disk, world_.host_name, Error{ErrorCode::kConflict, Retry::kNever, taken, {}}));
      continue;
    }
    report.marks.insert(report.marks.end(), seen->marks.begin(), seen->marks.end());
    DiskPlacement placement{target, seen->name, seen->name, disk.disk.format, seen->size, {}, {}};
    placement.shared = true;
    report.placements.push_back(std::move(placement));
  }
}

// Whatever either definition opens over the network has to be shown.
Status DestinationSide::check_network_disks(const ReserveRequest& request,
                                            const HostSettings& settings) const {
  ASSIGN_OR_RETURN(const DomainFacts live, parse_domain(request.destination_xml));
  DomainFacts at_next_boot;
  if (!request.persistent_xml.empty()) {
    ASSIGN_OR_RETURN(at_next_boot, parse_domain(request.persistent_xml));
  }
  const auto disks = network_disks_in(live);
  for (const DomainFacts* domain : {&live, static_cast<const DomainFacts*>(&at_next_boot)}) {
    for (const DiskFacts& disk : domain->disks) {
      if (disk.disk.kind != DiskKind::kNetwork) continue;
      const auto same = [&](const DiskFacts& other) {
        return other.disk.target == disk.disk.target && same_network_disk(other, disk);
      };
      const bool placed =
          std::ranges::any_of(request.plan.placements, [&](const DiskPlacement& placement) {
            return is_network(placement) && placement.target == disk.disk.target;
          });
      if (placed && std::ranges::any_of(disks, same)) continue;
      return fail(ErrorCode::kPolicy, "{} of {} is a network disk that the plan does not have.",
                  disk.disk.target, request.plan.vm.name);
    }
  }
  RETURN_IF_ERROR(check_few(disks));
  std::vector<DiskPlacement> placed;
  std::ranges::copy_if(request.plan.placements, std::back_inserter(placed), is_network);
  std::vector<std::string> targets;
  for (const DiskPlacement& placement : placed) targets.push_back(placement.target);
  RETURN_IF_ERROR(check_few(targets));
  for (const DiskPlacement& placement : placed)
    RETURN_IF_ERROR(check_network_disk(request, placement, settings));
  if (placed.empty()) return {};
  ASSIGN_OR_RETURN(const auto users, users_here(world_.hypervisor, request.plan.vm.uuid));
  NetworkLook look = look_at_disks(secrets_of(world_.hypervisor));
  for (const DiskPlacement& placement : placed) {
    const auto disk = std::ranges::find_if(
        disks, [&](const DiskFacts& facts) { return facts.disk.target == placement.target; });
    DROVER_CHECK(disk != disks.end());  // check_network_disk() found it
    RETURN_IF_ERROR(check_shown(request, placement, *disk, look));
    if (const std::string taken = taken_by(disk->network, users); !taken.empty()) {
      return fail(ErrorCode::kConflict, "{} cannot be opened on {}. {}", network_uri(*disk),
                  world_.host_name, taken);
    }
  }
  return {};
}

// The definition must name what the plan does, and the administrator must allow it. Speaks to no
// server.
Status DestinationSide::check_network_disk(const ReserveRequest& request,
                                           const DiskPlacement& placement,
                                           const HostSettings& settings) const {
  const std::string& target = placement.target;
  ASSIGN_OR_RETURN(const DomainFacts domain, parse_domain(request.destination_xml));
  const auto disks = network_disks_in(domain);
  const auto disk = std::ranges::find_if(
      disks, [&](const DiskFacts& facts) { return facts.disk.target == target; });
  if (disk == disks.end() || !placement.shared)
    return fail(ErrorCode::kProtocol, "{} is no network disk of {}.", target, request.plan.vm.name);
  if (!admits_servers_of(settings.network_disks, *disk)) {
    return fail(ErrorCode::kPolicy, "{} takes no VM with the disk {}. Fix, on {}: {}",
                world_.host_name, network_uri(*disk), world_.host_name, settings_for(*disk));
  }
  return {};
}

}  // namespace drover::move
