// SPDX-License-Identifier: Apache-2.0
#include "preflight/destination_view.h"

#include <algorithm>

#include "hypervisor/allowed_folder.h"
#include "hypervisor/qemu_conf.h"
#include "hypervisor/tpm_state.h"
#include "preflight/host_sets.h"
#include "preflight/image_format.h"
#include "preflight/interface_map.h"
#include "preflight/item_places.h"
#include "preflight/layers.h"
#include "preflight/placement.h"
#include "preflight/volumes.h"

namespace drover::preflight {
namespace {

// A peer must not learn from its findings what lies anywhere on this host: only where programs,
// firmware and images lie.
bool may_be_asked_for(const std::string& file, std::span<const std::string> folders) {
  static const std::vector<std::string> kPublic{"/usr", "/var/lib/libvirt"};
  return is_allowed(file, kPublic) || is_allowed(file, folders);
}

// A file that is there already is the disk itself, or its layer, if it bears the mark that the
// source has just made on it. `marked`: the disk's target, or the layer's path.
bool bears_mark(DestinationView& view, const std::string& marked, const std::string& path,
                std::span<const std::string> folders) {
  if (!view.taken[path]) return false;
  for (const DiskMark& mark : view.proposal.marks) {
    if (mark.target != marked) continue;
    const auto found = find_mark(path, mark.where.start, folders);
    if (!found) {
      view.unmarkable[path] = found.error().text();
    } else if (*found) {
      view.marks.push_back({marked, **found});
    }
    return found && *found;
  }
  return false;
}

void look_at_place(DestinationView& view, const std::string& path,
                   std::span<const std::string> allowed, const std::string& user) {
  const std::string folder = folder_of(path);
  if (view.folder(folder) == nullptr) view.folders.push_back(look_at_folder(folder, allowed, user));
  // Nothing is looked up outside the allowed folders: a peer must not learn what lies there.
  if (view.folder(folder)->exists) view.taken[path] = path_taken(path);
}

// A disk that both hosts see stays as it is, and a volume holds a raw disk of its whole size.
void change_images(DestinationView& view, std::span<const std::string> allowed,
                   const std::string& user) {
  const std::string& format = view.proposal.request.format;
  for (DiskPlacement& placement : view.placements) {
    if (placement.shared || !placement.destination_pool.empty()) continue;
    placement.allocation = view.proposal.request.allocation;
    if (placement.allocation == Allocation::kFull) {
      const auto landing = std::ranges::find(view.folders, folder_of(placement.destination_path),
                                             &FolderFacts::path);
      landing->keeps_room = keeps_room(landing->path, allowed);
    }
    if (format.empty() || placement.format == format) continue;
    placement.format = format;
    placement.cluster_size = {};
    placement.destination_path = path_in_format(placement.destination_path, format);
    look_at_place(view, placement.destination_path, allowed, user);
  }
}

void look_at_files(DestinationView& view, const std::string& user) {
  const auto folders = usable_folders(view.host, view.settings());
  for (const auto& placement : view.placements) {
    if (placement.destination_pool.empty())
      look_at_place(view, placement.destination_path, folders, user);
  }
  for (const auto& file : view.files) look_at_place(view, file.destination_path, folders, user);
  for (auto& placement : view.placements) {
    placement.shared = placement.destination_pool.empty() &&
                       bears_mark(view, placement.target, placement.destination_path, folders);
  }
  change_images(view, folders, user);
  for (auto& file : view.files)
    file.shared = bears_mark(view, file.source_path, file.destination_path, folders);
  if (std::ranges::find(view.proposal.request.items, kNvramItem, &ItemPlace::item) !=
      view.proposal.request.items.end()) {
    look_at_place(view, view.nvram_destination, folders, user);
  } else if (!view.nvram_destination.empty()) {
    view.taken[view.nvram_destination] = path_taken(view.nvram_destination);
  }
  const auto look = [&](const std::string& file) {
    view.readable[file] = may_be_asked_for(file, folders) && file_readable(file);
  };
  for (const auto& file : view.live.host_files) look(file);
  if (!view.live.emulator.empty()) look(view.live.emulator);
  if (is_plain_path(kTpmFolder + ("/" + view.proposal.vm.uuid)))
    view.tpm_state = tpm_state_of(kTpmFolder, view.proposal.vm.uuid);
  view.swtpm_there = file_readable("/usr/bin/swtpm") || file_readable("/usr/local/bin/swtpm");
  for (const auto& facts : view.live.disks) {
    if (facts.disk.device == DiskDevice::kCdrom || facts.disk.device == DiskDevice::kFloppy) {
      if (!facts.disk.path.empty()) look(facts.disk.path);
    }
  }
}

std::string small_letters(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

// Of a VM that cannot be read nothing is said: it may just have gone.
void look_at_macs(DestinationView& view, Hypervisor& hypervisor) {
  for (const auto& vm : view.vms) {
    if (vm.uuid == view.proposal.vm.uuid) continue;
    const auto kind = vm.persistent ? DefinitionKind::kPersistent : DefinitionKind::kLive;
    const auto text = hypervisor.definition(vm.uuid, kind);
    const auto facts = text ? parse_domain(*text) : std::unexpected(text.error());
    if (!facts) continue;
    for (const auto& interface : facts->interfaces)
      view.macs_here.emplace(small_letters(interface.mac), vm.name);
  }
}

// The interfaces are looked at, and defined, as they are plugged in here.
Status map_interfaces(DestinationView& view) {
  const Proposal& proposal = view.proposal;
  RETURN_IF_ERROR(check_interface_places(proposal.request.interfaces));
  Findings told_by_its_own_check;
  view.targets =
      find_interface_targets(proposal.request.interfaces, view.host, told_by_its_own_check);
  ASSIGN_OR_RETURN(const DomainFacts there, parse_domain(proposal.live_xml));
  view.interfaces_there = there.interfaces;
  ASSIGN_OR_RETURN(view.live_xml, adapt_interfaces(proposal.live_xml, view.targets));
  ASSIGN_OR_RETURN(view.live, parse_domain(view.live_xml));
  if (proposal.persistent_xml.empty()) return {};
  ASSIGN_OR_RETURN(view.persistent_xml, adapt_interfaces(proposal.persistent_xml, view.targets));
  ASSIGN_OR_RETURN(view.persistent, parse_domain(view.persistent_xml));
  return {};
}

void look_at_resources(DestinationView& view, Hypervisor& hypervisor, const QemuConf& conf) {
  if (view.live.huge_pages) view.huge_pages_free = free_huge_pages(view.live.huge_page_size);
  view.nodes_online = online_set("/sys/devices/system/node/online");
  view.cpus_online = online_set("/sys/devices/system/cpu/online");
  view.gives_images = conf.gives_images;
  view.qemu_user = conf.user;
  if (view.live.secrets.empty()) return;
  if (auto secrets = hypervisor.secrets()) view.secrets = std::move(*secrets);
}

// Of a disk that stays a chain only its own image is copied as a disk.
void leave_layers_out(DestinationView& view) {
  for (DiskPlacement& placement : view.placements) {
    const auto is_layer = [&](const FilePlacement& file) { return file.item == placement.target; };
    if (std::ranges::none_of(view.files, is_layer)) continue;
    const auto& disks = view.proposal.vm.disks;
    const auto disk = std::ranges::find(disks, placement.target, &Disk::target);
    if (disk != disks.end()) placement.allocated = disk->allocated;
  }
}

}  // namespace

Result<DestinationView> gather(const Proposal& proposal, Hypervisor& hypervisor, HostFacts host) {
  DestinationView view(proposal);
  view.host = std::move(host);
  RETURN_IF_ERROR(map_interfaces(view));
  const bool one_vm = view.live.vm.uuid == proposal.vm.uuid && view.name() == proposal.vm.name &&
                      (!view.persistent || (view.persistent->vm.uuid == view.live.vm.uuid &&
                                            view.persistent->vm.name == view.name()));
  if (!one_vm)
    return fail(ErrorCode::kInvalidArgument, "The proposal mixes definitions of several VMs.");
  const QemuConf conf = qemu_conf();
  view.tls_forced = conf.tls_forced;
  if (auto vms = hypervisor.list_vms()) view.vms = std::move(*vms);
  look_at_macs(view, hypervisor);
  look_at_resources(view, hypervisor, conf);
  const auto folders = usable_folders(view.host, view.settings());
  ASSIGN_OR_RETURN(MoveRequest asked,
                   with_folders(proposal.request, view.live, proposal.vm, view.host));
  ASSIGN_OR_RETURN(view.volume_pools, volume_pools_asked(proposal.request, view.host, hypervisor));
  view.placements = place_disks(view.live, proposal.vm, asked.disks_to, folders, view.settings());
  // Such a pool holds disks alone.
  if (std::ranges::find(view.volume_pools, proposal.request.disks_to, &VolumePool::name) !=
      view.volume_pools.end())
    asked.disks_to.clear();
  view.files = place_files(proposal.vm, view.placements, asked, folders, view.settings());
  leave_layers_out(view);
  view.nvram_destination = place_nvram(view.live, folders);
  place_items(asked, view.placements, view.files, view.nvram_destination);
  place_volumes(view, proposal.request);
  look_at_files(view, conf.user);
  for (const auto& interface : view.live.interfaces) {
    if (interface.type == "bridge" || interface.type == "direct") {
      view.devices[interface.source] = network_device_exists(interface.source);
    }
  }
  view.addresses = local_addresses();
  const auto cpu = hypervisor.compare_cpu(proposal.live_xml, &view.cpu_missing);
  if (cpu)
    view.cpu = *cpu;
  else
    view.cpu_error = cpu.error().text();
  return view;
}

}  // namespace drover::preflight
