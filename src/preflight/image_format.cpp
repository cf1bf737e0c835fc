// SPDX-License-Identifier: Apache-2.0
#include "preflight/image_format.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include <fmt/core.h>

namespace drover::preflight {
namespace {

bool names(const std::vector<std::string>& targets, const std::string& target) {
  return std::ranges::find(targets, target) != targets.end();
}

bool changes_format(const MoveRequest& request, const std::string& format) {
  return !request.format.empty() && request.format != format;
}

// "raw", "thin", "raw and thin".
std::string what_it_becomes(const MoveRequest& request, const Disk& disk) {
  std::string words = changes_format(request, disk.format) ? request.format : "";
  if (!request.allocation) return words;
  if (!words.empty()) words += " and ";
  return words.append(allocation_name(*request.allocation));
}

// Of live and storage moves other checks tell this.
void check_internal(const Vm& vm, const MoveRequest& request, const Disk& disk,
                    const Checkpoint& checkpoint, Findings& findings) {
  if (request.kind != MoveKind::kOffline && request.kind != MoveKind::kQuick) return;
  findings.blocker(Code::kCheckpointInternal, disk.target,
                   fmt::format("The checkpoint {} of {} lies within {}, which shall become {}.",
                               checkpoint.name, vm.name, disk.path, what_it_becomes(request, disk)),
                   "Another image is made of what the guest sees now; the checkpoint would stay "
                   "behind.",
                   {"Leave --format and --allocation out: then it travels within its image.",
                    fmt::format("If it is not needed any more: virsh snapshot-delete {} {}",
                                word(vm.name), word(checkpoint.name))});
}

// The definition that libvirt keeps with a checkpoint says the format of each disk.
void check_known(const Vm& vm, const MoveRequest& request, const Disk& disk,
                 const Checkpoint& checkpoint, Findings& findings) {
  if (!changes_format(request, disk.format)) return;
  if (request.flatten && names(checkpoint.external_disks, disk.target)) return;  // told already
  findings.blocker(Code::kCheckpointFiles, checkpoint.name,
                   fmt::format("The checkpoint {} of {} knows {} as {}, which shall become {}.",
                               checkpoint.name, vm.name, disk.target, disk.format, request.format),
                   "Who goes back to it would have the new image read in the former format.",
                   {"Leave --format out.",
                    fmt::format("If it is not needed any more: virsh snapshot-delete {} {}",
                                word(vm.name), word(checkpoint.name))});
}

}  // namespace

std::string path_in_format(const std::string& path, const std::string& format) {
  const std::filesystem::path named(path);
  const std::string ending = named.extension().string();
  const bool raw = ending == ".raw" || ending == ".img";
  if (format == "qcow2" && raw) return std::filesystem::path(named).replace_extension(".qcow2");
  if (format == "raw" && ending == ".qcow2")
    return std::filesystem::path(named).replace_extension(".img");
  return path;
}

std::string format_now(const Plan& plan, const DiskPlacement& placement) {
  const auto disk = std::ranges::find(plan.vm.disks, placement.target, &Disk::target);
  const bool becomes = !plan.request.format.empty() || !placement.destination_pool.empty();
  return becomes && disk != plan.vm.disks.end() ? disk->format : placement.format;
}

bool is_made_anew(const MoveRequest& request, const std::string& format) {
  return request.allocation || changes_format(request, format);
}

void check_made_anew(const Vm& vm, const MoveRequest& request, const Disk& disk,
                     Findings& findings) {
  if (!disk.backing_chain.empty() && !request.flatten) {
    findings.blocker(Code::kDiskBackingChain, disk.target,
                     fmt::format("{} is built on another image, and shall become {}.", disk.target,
                                 what_it_becomes(request, disk)),
                     "Such an image is made of the whole disk.",
                     {"--flatten makes one image of it"});
  }
  for (const Checkpoint& checkpoint : vm.checkpoints) {
    if (names(checkpoint.internal_disks, disk.target))
      check_internal(vm, request, disk, checkpoint, findings);
    else
      check_known(vm, request, disk, checkpoint, findings);
  }
}

}  // namespace drover::preflight
