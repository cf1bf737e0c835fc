// SPDX-License-Identifier: Apache-2.0
// Disks that are volumes of pools of block devices, at the source, or become ones at the
// destination.
#include "preflight/volumes.h"

#include <algorithm>

#include <fmt/core.h>

#include "preflight/item_places.h"

namespace drover::preflight {
namespace {

void refuse(const DiskFacts& disk, const std::string& what, std::string why,
            std::vector<std::string> fixes, Findings& findings) {
  findings.blocker(Code::kDiskBlockDevice, disk.disk.target,
                   fmt::format("{} ({}) {}", disk.disk.target,
                               disk.disk.path.empty() ? disk.volume : disk.disk.path, what),
                   std::move(why), std::move(fixes));
}

// What the request names for a disk, if it is one of these; else null.
VolumePool* asked_pool(std::vector<VolumePool>& pools, const MoveRequest& request,
                       const std::string& target) {
  const auto item = std::ranges::find(request.items, target, &ItemPlace::item);
  const std::string& place = item == request.items.end() ? request.disks_to : item->place;
  const auto pool = std::ranges::find(pools, place, &VolumePool::name);
  return pool == pools.end() ? nullptr : &*pool;
}

}  // namespace

bool is_on_volume(const DiskFacts& disk, const Disk* measured) {
  return disk.disk.kind == DiskKind::kBlock || (measured != nullptr && !measured->pool.empty());
}

void check_source_volume(const SourceFacts& facts, const DiskFacts& disk, const Disk* measured,
                         Findings& findings) {
  const std::string name = word(facts.name());
  const std::string& target = disk.disk.target;
  const std::string to_file = fmt::format(
      "virsh blockcopy {0} {1} /var/lib/libvirt/images/{0}-{1}.img --format raw --transient-job "
      "--wait --pivot, then change the definition alike",
      name, target);
  if (measured == nullptr || measured->pool.empty()) {
    return refuse(disk, "is a block device of no pool of volumes.",
                  "Of a physical disk, or a LUN that several hosts may see, Drover cannot know who "
                  "else uses it.",
                  {"If it is a logical volume: virsh pool-define-as NAME logical --source-name "
                   "GROUP --target /dev/GROUP, and virsh pool-start NAME",
                   to_file},
                  findings);
  }
  if (disk.disk.format != "raw" || disk.slice_within) {
    return refuse(disk,
                  disk.slice_within
                      ? "is a part of a volume, from elsewhere than its beginning."
                      : fmt::format("is a volume with an image of {} in it.", disk.disk.format),
                  "Drover reads volumes as raw disks, from their beginning.", {to_file}, findings);
  }
  findings.note(
      Code::kVolumeStays, target,
      fmt::format("The volume {} of the pool {} stays on {} as it is.", measured->path,
                  measured->pool, facts.view.host.name),
      fmt::format("Drover renames and deletes no volume that it has not made. Once nothing "
                  "of it is wanted any more: virsh vol-delete {}",
                  word(measured->path)));
}

Result<std::vector<VolumePool>> volume_pools_asked(const MoveRequest& request,
                                                   const HostFacts& host, Hypervisor& hypervisor) {
  std::vector<std::string> places{request.disks_to};
  for (const ItemPlace& item : request.items) places.push_back(item.place);
  std::vector<VolumePool> pools;
  for (const PoolFacts& pool : host.pools) {
    const bool asked = std::ranges::find(places, pool.name) != places.end();
    if (!asked || !pool.active || !holds_volumes(pool.type)) continue;
    ASSIGN_OR_RETURN(VolumePool found, hypervisor.volume_pool(pool.name));
    pools.push_back(std::move(found));
  }
  return pools;
}

void place_volumes(DestinationView& view, const MoveRequest& request) {
  for (DiskPlacement& placement : view.placements) {
    VolumePool* const pool = asked_pool(view.volume_pools, request, placement.target);
    if (pool == nullptr) continue;
    const std::string volume = volume_name(*pool, view.proposal.vm.name, placement.target);
    placement.destination_path = fmt::format("{}/{}", pool->folder, volume);
    placement.destination_pool = pool->name;
    placement.format = "raw";
    placement.cluster_size = {};
    placement.allocation.reset();
    placement.allocated = placement.virtual_size;
    view.taken[placement.destination_path] =
        std::ranges::find(pool->volumes, volume) != pool->volumes.end();
    // A second disk gets another one.
    pool->volumes.push_back(volume);
  }
}

void check_destination_volumes(const DestinationView& view, Findings& findings) {
  for (const VolumePool& pool : view.volume_pools) {
    ByteCount needed;
    for (const DiskPlacement& placement : view.placements) {
      if (placement.destination_pool == pool.name) needed += placement.virtual_size;
    }
    if (needed <= pool.free) continue;
    findings.blocker(Code::kSpaceShort, pool.name,
                     fmt::format("The pool {} on {} has {} free; {} are needed.", pool.name,
                                 view.host.name, to_text(pool.free), to_text(needed)),
                     "A volume takes its whole size from the beginning.",
                     {fmt::format("Make room on {}: virsh vol-list {} shows what is in it",
                                  view.host.name, word(pool.name)),
                      "Choose another pool or folder with --disks-to."});
  }
  for (const DiskPlacement& placement : view.placements) {
    if (placement.destination_pool.empty()) continue;
    const auto taken = view.taken.find(placement.destination_path);
    if (taken != view.taken.end() && taken->second) {
      findings.blocker(Code::kDiskExists, placement.target,
                       fmt::format("The volume {} exists on {} already.",
                                   placement.destination_path, view.host.name),
                       "It may be the disk of another VM; Drover never overwrites a volume.",
                       {fmt::format("If nothing uses it, on {}: lvrename, or virsh vol-delete {}",
                                    view.host.name, word(placement.destination_path)),
                        "Choose another pool or folder with --disks-to."});
    }
    if (view.proposal.request.format == "qcow2") {
      findings.blocker(Code::kDiskFormat, placement.target,
                       fmt::format("{} would become the volume {}, and shall become qcow2.",
                                   placement.target, placement.destination_path),
                       "A volume holds a raw disk.",
                       {"Leave --format out.", "Choose a folder or pool of files."});
    }
    const bool has_layers = std::ranges::any_of(view.files, [&](const FilePlacement& file) {
      return std::ranges::find(view.placements, file.item, &DiskPlacement::target) !=
             view.placements.end();
    });
    if (!has_layers && view.proposal.vm.snapshots == 0) continue;
    findings.blocker(
        Code::kDiskBackingChain, placement.target,
        fmt::format("{} would become the volume {}, and {} has {}.", placement.target,
                    placement.destination_path, view.proposal.vm.name,
                    has_layers ? "disks that are built on others" : "checkpoints"),
        "A volume holds one raw disk, and nothing beside or below it.",
        {has_layers ? "--flatten makes one image of each chain"
                    : fmt::format("virsh snapshot-delete {} NAME", word(view.proposal.vm.name)),
         "Choose a folder or pool of files with --disks-to."});
  }
}

}  // namespace drover::preflight
