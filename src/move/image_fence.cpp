// SPDX-License-Identifier: Apache-2.0
#include "move/image_fence.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "move/plan/network_disks.h"
#include "move/volumes.h"

namespace drover::move {
namespace {

constexpr std::int64_t kNanoseconds = 1'000'000'000;

}  // namespace

Result<ImageStamp> stamp_of(const std::string& path) {
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0) return fail_errno("Cannot look at " + path);
  if (S_ISBLK(found.st_mode)) return stamp_device(path);
  return ImageStamp{path, static_cast<std::uint64_t>(found.st_size),
                    found.st_mtim.tv_sec * kNanoseconds + found.st_mtim.tv_nsec};
}

Result<gate::Fence> fence_images(const Plan& plan) {
  std::vector<gate::FencedDisk> images;
  for (const DiskPlacement& placement : plan.placements) {
    if (is_network(placement)) continue;  // it knows no locks
    UniqueFd image(::open(placement.source_path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!image) return fail_errno("Cannot open " + placement.source_path);
    images.push_back({placement.target, std::move(image)});
  }
  gate::Fence fence(std::move(images));
  if (auto taken = fence.take(); !taken) {
    return std::unexpected(
        wrap(taken.error(), fmt::format("The disks of {} are in use.", plan.vm.name)));
  }
  return fence;
}

Result<gate::Fence> fence_unwritten(const Plan& plan) {
  ASSIGN_OR_RETURN(gate::Fence fence, fence_images(plan));
  if (auto nobody = fence.check_no_writer(); !nobody) {
    return std::unexpected(
        wrap(nobody.error(), fmt::format("The disks of {} are in use.", plan.vm.name)));
  }
  return fence;
}

Result<std::vector<ImageStamp>> stamp_images(const Plan& plan) {
  std::vector<ImageStamp> stamps;
  for (const DiskPlacement& placement : plan.placements) {
    if (is_network(placement)) continue;
    ASSIGN_OR_RETURN(ImageStamp stamp, stamp_of(placement.source_path));
    stamps.push_back(std::move(stamp));
  }
  return stamps;
}

Result<std::optional<std::string>> first_written(const std::vector<ImageStamp>& stamps) {
  for (const ImageStamp& before : stamps) {
    ASSIGN_OR_RETURN(const ImageStamp now, stamp_of(before.path));
    if (now != before) return std::optional(before.path);
  }
  return std::optional<std::string>();
}

Result<std::optional<std::string>> first_written_after(const Plan& plan,
                                                       const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const ImageStamp limit, stamp_of(file.string()));
  for (const DiskPlacement& placement : plan.placements) {
    if (is_network(placement)) continue;
    // Of a device nobody knows when it was written last.
    if (!placement.source_pool.empty()) return std::optional(placement.source_path);
    ASSIGN_OR_RETURN(const ImageStamp now, stamp_of(placement.source_path));
    if (now.written_ns > limit.written_ns) return std::optional(now.path);
  }
  return std::optional<std::string>();
}

}  // namespace drover::move
