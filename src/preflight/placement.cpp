// SPDX-License-Identifier: Apache-2.0
#include "preflight/placement.h"

#include <algorithm>
#include <filesystem>

#include <fmt/core.h>

#include "hypervisor/allowed_folder.h"
#include "hypervisor/disk_image.h"

namespace drover::preflight {
namespace {

constexpr std::uint64_t kClusterBytes = 65536;  // as qemu-img has it

std::string name_of(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

std::string joined(const std::string& folder, const std::string& name) {
  return folder.ends_with('/') ? folder + name : folder + "/" + name;
}

}  // namespace

std::string folder_of(const std::string& path) {
  return std::filesystem::path(path).parent_path().string();
}

// Of a qcow2 each cluster has 8 bytes of its table and 2 of its count.
ByteCount room_of(const DiskPlacement& placement) {
  if (placement.allocation != Allocation::kFull) return placement.allocated;
  if (placement.format == "raw") return placement.virtual_size;
  const std::uint64_t cluster =
      placement.cluster_size.bytes != 0 ? placement.cluster_size.bytes : kClusterBytes;
  return placement.virtual_size + ByteCount{placement.virtual_size.bytes / cluster * 10} + mib(1);
}

std::vector<std::string> usable_folders(const HostFacts& host, const HostSettings& settings) {
  std::vector<std::string> folders = settings.allowed_folders;
  for (const auto& pool : host.pools) {
    const bool holds_files = pool.type == "dir" || pool.type == "fs" || pool.type == "netfs";
    if (!pool.active || !holds_files || !is_plain_path(pool.path)) continue;
    if (std::find(folders.begin(), folders.end(), pool.path) == folders.end())
      folders.push_back(pool.path);
  }
  return folders;
}

std::vector<DiskPlacement> place_disks(const DomainFacts& live, const Vm& measured,
                                       const std::string& disks_to,
                                       std::span<const std::string> folders,
                                       const HostSettings& settings) {
  std::vector<DiskPlacement> placements;
  for (const auto& facts : live.disks) {
    const Disk& disk = facts.disk;
    if (disk.device != DiskDevice::kDisk || disk.read_only || disk.shareable) continue;
    const auto found = std::find_if(measured.disks.begin(), measured.disks.end(),
                                    [&](const Disk& other) { return other.target == disk.target; });
    // A volume's path is known to its host only.
    const Disk& sized = found == measured.disks.end() ? disk : *found;
    const bool has_image = disk.kind == DiskKind::kFile || disk.kind == DiskKind::kVolume;
    if (!has_image && sized.pool.empty()) continue;
    const std::string source_path = disk.path.empty() ? sized.path : disk.path;
    if (source_path.empty()) continue;
    DiskPlacement placement{disk.target,
                            source_path,
                            "",
                            disk.format,
                            sized.virtual_size,
                            flattened(sized.allocated, sized.virtual_size, sized.layers),
                            sized.cluster_size};
    placement.source_pool = sized.pool;
    // A device's name says nothing on another host.
    const std::string name = sized.pool.empty()
                                 ? name_of(source_path)
                                 : fmt::format("{}-{}.img", live.vm.name, disk.target);
    if (!disks_to.empty())
      placement.destination_path = joined(disks_to, name);
    else if (sized.pool.empty() && is_allowed(folder_of(source_path), folders))
      placement.destination_path = source_path;
    else
      placement.destination_path = joined(settings.default_folder, name);
    placements.push_back(std::move(placement));
  }
  return placements;
}

std::string place_nvram(const DomainFacts& live, std::span<const std::string> folders) {
  const std::string& path = live.vm.nvram_path;
  if (path.empty()) return {};
  if (is_plain_path(path) &&
      (folder_of(path) == kNvramFolder || is_allowed(folder_of(path), folders)))
    return path;
  return joined(kNvramFolder, live.vm.name + "_VARS.fd");
}

}  // namespace drover::preflight
