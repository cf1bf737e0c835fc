// SPDX-License-Identifier: Apache-2.0
#include "preflight/item_places.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "hypervisor/volume_pool.h"
#include "preflight/finding.h"
#include "preflight/layers.h"
#include "preflight/placement.h"

namespace drover::preflight {
namespace {

std::string within(const std::string& folder, const std::string& path) {
  return (std::filesystem::path(folder) / std::filesystem::path(path).filename()).string();
}

// What place_disks gives a place to.
std::vector<std::string> travelling_items(const DomainFacts& live) {
  std::vector<std::string> items;
  for (const DiskFacts& facts : live.disks) {
    const Disk& disk = facts.disk;
    const bool copied = disk.device == DiskDevice::kDisk && !disk.read_only && !disk.shareable &&
                        (disk.kind == DiskKind::kFile || disk.kind == DiskKind::kVolume ||
                         disk.kind == DiskKind::kBlock);
    if (copied) items.push_back(disk.target);
  }
  if (!live.vm.nvram_path.empty()) items.emplace_back(kNvramItem);
  return items;
}

}  // namespace

Result<std::string> folder_named(const std::string& place, const HostFacts& host) {
  if (place.starts_with('/')) {
    const std::size_t end = place.find_last_not_of('/');
    return place.substr(0, end == std::string::npos ? 1 : end + 1);
  }
  std::vector<std::string> names;
  for (const PoolFacts& pool : host.pools) {
    const bool holds_files = pool.type == "dir" || pool.type == "fs" || pool.type == "netfs";
    if (pool.name == place && !holds_files) {
      return fail(ErrorCode::kInvalidArgument,
                  "The pool {} on {} is of type {}; disks can move to pools of files (dir, fs, "
                  "netfs) and to folders.",
                  place, host.name, pool.type);
    }
    if (pool.name == place && !pool.active) {
      return fail(ErrorCode::kConflict, "The pool {} on {} is not active. Fix: virsh pool-start {}",
                  place, host.name, word(place));
    }
    if (pool.name == place) return pool.path;
    if (holds_files && pool.active) names.push_back(pool.name);
  }
  return fail(ErrorCode::kNotFound,
              "There is no pool {} on {}; its pools of files: {}. A folder is named by its whole "
              "path.",
              place, host.name, names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", ")));
}

Result<std::string> place_named(std::string_view item, const std::string& place,
                                const HostFacts& host) {
  const auto pool = std::ranges::find(host.pools, place, &PoolFacts::name);
  const bool volumes = pool != host.pools.end() && holds_volumes(pool->type);
  if (item == kNvramItem || !volumes) return folder_named(place, host);
  if (pool->active) return pool->path;
  return fail(ErrorCode::kConflict, "The pool {} on {} is not active. Fix: virsh pool-start {}",
              place, host.name, word(place));
}

Result<MoveRequest> with_folders(const MoveRequest& request, const DomainFacts& live,
                                 const Vm& measured, const HostFacts& host) {
  MoveRequest asked = request;
  const bool is_pool = std::ranges::any_of(
      host.pools, [&](const PoolFacts& pool) { return pool.name == request.disks_to; });
  if (is_pool) {
    ASSIGN_OR_RETURN(asked.disks_to, place_named("", request.disks_to, host));
  }
  auto known = travelling_items(live);
  std::vector<std::string> discs;
  for (const Disk& disc : travelling_discs(request, measured)) discs.push_back(disc.target);
  known.insert(known.end(), discs.begin(), discs.end());
  std::set<std::string> named;
  for (ItemPlace& item : asked.items) {
    if (std::ranges::find(known, item.item) == known.end()) {
      return fail(ErrorCode::kInvalidArgument,
                  "{} has no item {} that is copied to another host; it has: {}.", live.vm.name,
                  item.item, known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", ")));
    }
    if (!named.insert(item.item).second)
      return fail(ErrorCode::kInvalidArgument, "The item {} is named twice.", item.item);
    const bool is_file = std::ranges::find(discs, item.item) != discs.end();
    ASSIGN_OR_RETURN(item.place, is_file ? folder_named(item.place, host)
                                         : place_named(item.item, item.place, host));
  }
  return asked;
}

void place_items(const MoveRequest& request, std::vector<DiskPlacement>& placements,
                 std::vector<FilePlacement>& files, std::string& nvram) {
  for (const ItemPlace& item : request.items) {
    if (item.item == kNvramItem && !nvram.empty()) nvram = within(item.place, nvram);
    for (DiskPlacement& placement : placements) {
      if (placement.target == item.item)
        placement.destination_path =
            within(item.place, placement.source_pool.empty() ? placement.source_path
                                                             : placement.destination_path);
    }
    for (FilePlacement& file : files) {
      if (file.item == item.item) file.destination_path = within(item.place, file.source_path);
    }
  }
}

std::string misplaced_item(const MoveRequest& request, const HostFacts& host,
                           const std::vector<DiskPlacement>& placements,
                           const std::vector<FilePlacement>& files, const std::string& nvram) {
  for (const ItemPlace& item : request.items) {
    const auto folder = place_named(item.item, item.place, host);
    const auto placement = std::ranges::find(placements, item.item, &DiskPlacement::target);
    const auto file = std::ranges::find(files, item.item, &FilePlacement::item);
    const std::string path = item.item == kNvramItem         ? nvram
                             : placement != placements.end() ? placement->destination_path
                             : file != files.end()           ? file->destination_path
                                                             : std::string();
    if (!folder || folder_of(path) != *folder) return item.item;
  }
  return {};
}

}  // namespace drover::preflight
