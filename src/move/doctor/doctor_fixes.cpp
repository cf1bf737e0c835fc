// SPDX-License-Identifier: Apache-2.0
// What the doctor does about its findings. Each fix looks again; what it cannot do it leaves, and
// says so.
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "move/doctor/doctor_checks.h"

namespace drover::move::doctor {
namespace {

constexpr mode_t kHookMode = 0755;
constexpr mode_t kKeyMode = 0600;

}  // namespace

// Not beside the other hooks: libvirt runs all that it finds there.
Status install_hook(const DoctorOptions& options) {
  ASSIGN_OR_RETURN(const std::string hook, read_file(options.hook_source));
  RETURN_IF_ERROR(make_folder(options.hook_place.parent_path(), kHookMode));
  if (const auto former = read_file(options.hook_place); former && *former != hook)
    RETURN_IF_ERROR(write_file_durably(options.state_folder / "hook.former", *former, kKeyMode));
  return write_file_durably(options.hook_place, hook, kHookMode);
}

Status close_identity(const DoctorOptions& options) {
  const auto file = identity_file(options);
  if (::chmod(file.c_str(), kKeyMode) != 0)
    return fail_errno(fmt::format("Cannot change the mode of {}", file.string()));
  return {};
}

Status remove_stale_files(World& world, const DoctorOptions& options) {
  ASSIGN_OR_RETURN(const auto stale, stale_files(world, options));
  for (const auto& path : stale) {
    std::error_code trouble;
    std::filesystem::remove_all(path, trouble);
    if (trouble) {
      return fail(ErrorCode::kSystem, "Cannot remove {}: {}.", path.string(), trouble.message());
    }
    log::info("The doctor removed {}.", path.string());
  }
  return {};
}

Status forget_lost_disks(World& world) {
  ASSIGN_OR_RETURN(const auto disks, lost_disks(world));
  for (const auto& disk : disks) {
    RETURN_IF_ERROR(world.journal.remove_quarantined(disk));
    log::info("The doctor forgot {}, which is not there any more.", disk.kept_path);
  }
  return {};
}

Status remove_left_images(World& world) {
  ASSIGN_OR_RETURN(const auto images, left_images(world));
  for (const auto& image : images) {
    RETURN_IF_ERROR(remove_image(image.path, image.identity));
    log::info("The doctor removed {}, left of move {}.", image.path, image.move_id);
  }
  return {};
}

}  // namespace drover::move::doctor
