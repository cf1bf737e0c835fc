// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/file_identity.h"

#include <fstream>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace drover {
namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

// No process lives for longer than a boot.
const std::string& this_boot() {
  static const std::string boot = [] {
    std::string text;
    std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), text);
    return text;
  }();
  return boot;
}

std::uint64_t born(const struct statx& found) {
  if ((found.stx_mask & STATX_BTIME) == 0 || found.stx_btime.tv_sec <= 0) return 0;
  return static_cast<std::uint64_t>(found.stx_btime.tv_sec) * kNsPerSecond +
         found.stx_btime.tv_nsec;
}

Result<SeenFile> see(int folder, const char* name, int flags, const std::string& for_people) {
  struct statx found{};
  if (::statx(folder, name, flags, STATX_BASIC_STATS | STATX_BTIME, &found) != 0)
    return fail_errno("Cannot look at " + for_people);
  SeenFile seen;
  seen.identity.device = ::makedev(found.stx_dev_major, found.stx_dev_minor);
  seen.identity.inode = found.stx_ino;
  seen.identity.born_ns = born(found);
  seen.identity.boot = this_boot();
  seen.regular = S_ISREG(found.stx_mode);
  seen.mode = found.stx_mode & 07777u;
  seen.allocated_bytes = found.stx_blocks * 512;
  return seen;
}

}  // namespace

bool operator==(const FileIdentity& one, const FileIdentity& other) {
  if (one.inode != other.inode) return false;
  const bool born_known = one.born_ns != 0 && other.born_ns != 0;
  if (born_known && one.born_ns != other.born_ns) return false;
  if (one.device == other.device) return true;
  const bool rebooted = !one.boot.empty() && !other.boot.empty() && one.boot != other.boot;
  return born_known && rebooted;
}

Result<SeenFile> see_file(int folder, const std::string& name) {
  return see(folder, name.c_str(), AT_SYMLINK_NOFOLLOW, name);
}

Result<SeenFile> see_file_behind(int descriptor, const std::string& name) {
  return see(descriptor, "", AT_EMPTY_PATH, name);
}

FileIdentity identity_of(const QuarantinedDisk& disk) {
  return {disk.device, disk.inode, disk.born_ns, disk.boot};
}

void set_identity(QuarantinedDisk& disk, const FileIdentity& identity) {
  disk.device = identity.device;
  disk.inode = identity.inode;
  disk.born_ns = identity.born_ns;
  disk.boot = identity.boot;
}

}  // namespace drover
