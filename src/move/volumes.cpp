// SPDX-License-Identifier: Apache-2.0
#include "move/volumes.h"

#include <array>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/log.h"
#include "base/unique_fd.h"

namespace drover::move {
namespace {

// Documentation/block/stat.rst: reads, merged reads, sectors read, ms, writes, merged writes,
// sectors written.
constexpr std::size_t kSectorsWritten = 6;

Result<std::int64_t> sectors_written(dev_t device, const std::string& path) {
  const std::string name =
      fmt::format("/sys/dev/block/{}:{}/stat", ::gnu_dev_major(device), ::gnu_dev_minor(device));
  std::ifstream numbers(name);
  std::array<std::int64_t, kSectorsWritten + 1> counts{};
  for (std::int64_t& count : counts) numbers >> count;
  if (!numbers) return fail(ErrorCode::kSystem, "Cannot read what was written to {}.", path);
  return counts[kSectorsWritten];
}

}  // namespace

std::string volume_of(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

std::optional<ByteCount> volume_at_source(const DiskPlacement& placement) {
  if (placement.source_pool.empty()) return {};
  return placement.virtual_size;
}

void tell_unknown_volume(World& world, const std::string& move_id, const KnownFile& file) {
  const auto found = world.hypervisor.find_volume(file.pool, volume_of(file.path));
  if (found && !*found) return;
  log::warning(
      "Move {}: droverd ended while the volume {} of the pool {} was being made. If it is there "
      "and "
      "nobody else made it, delete it: virsh vol-delete {}",
      move_id, file.path, file.pool, file.path);
}

Result<ImageStamp> stamp_device(const std::string& path) {
  const UniqueFd device(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat found{};
  if (!device || ::fstat(device.get(), &found) != 0 || ::fsync(device.get()) != 0)
    return fail_errno("Cannot look at " + path);
  if (!S_ISBLK(found.st_mode))
    return fail(ErrorCode::kConflict, "{} is no block device any more.", path);
  const off_t size = ::lseek(device.get(), 0, SEEK_END);
  if (size < 0) return fail_errno("Cannot look at " + path);
  ASSIGN_OR_RETURN(const std::int64_t written, sectors_written(found.st_rdev, path));
  return ImageStamp{path, static_cast<std::uint64_t>(size), written};
}

Result<std::vector<ImageStamp>> stamp_volumes(const Plan& plan) {
  std::vector<ImageStamp> stamps;
  for (const DiskPlacement& placement : plan.placements) {
    if (placement.source_pool.empty()) continue;
    ASSIGN_OR_RETURN(ImageStamp stamp, stamp_device(placement.source_path));
    stamps.push_back(std::move(stamp));
  }
  return stamps;
}

}  // namespace drover::move
