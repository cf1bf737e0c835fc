// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/volume_pool.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include <fmt/core.h>
#include <sys/stat.h>

namespace drover {
namespace {

constexpr std::size_t kLogicalNameMost = 100;  // LVM takes 127 with the group's name

std::string partition_name(const VolumePool& pool) {
  std::string disk = std::filesystem::path(pool.device).filename().string();
  // As the kernel names them: sda1, but loop0p1 and nvme0n1p1.
  if (!disk.empty() && std::isdigit(static_cast<unsigned char>(disk.back())) != 0) disk += 'p';
  for (int number = 1;; ++number) {
    std::string name = fmt::format("{}{}", disk, number);
    if (std::ranges::find(pool.volumes, name) == pool.volumes.end()) return name;
  }
}

}  // namespace

bool holds_volumes(std::string_view pool_type) {
  return pool_type == "logical" || pool_type == "disk";
}

std::string_view storage_driver(const std::string& path) {
  struct stat found{};
  const bool device = ::stat(path.c_str(), &found) == 0 && S_ISBLK(found.st_mode);
  return device ? "host_device" : "file";
}

std::string volume_name(const VolumePool& pool, std::string_view vm, std::string_view target) {
  if (pool.type == "disk") return partition_name(pool);
  std::string name(vm.substr(0, kLogicalNameMost));
  name += fmt::format("-{}", target);
  constexpr std::string_view kAllowed = "+_.-";
  for (char& c : name) {
    const bool ascii = static_cast<unsigned char>(c) < 0x80;
    if (!ascii || (std::isalnum(static_cast<unsigned char>(c)) == 0 && !kAllowed.contains(c)))
      c = '_';
  }
  if (name.front() == '-' || name.front() == '.') name.front() = '_';
  return name;
}

}  // namespace drover
