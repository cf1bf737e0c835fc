// SPDX-License-Identifier: Apache-2.0
#include "preflight/layers.h"

#include <algorithm>
#include <filesystem>

#include <fmt/core.h>

#include "hypervisor/allowed_folder.h"
#include "preflight/destination_view.h"
#include "preflight/placement.h"

namespace drover::preflight {
namespace {

std::string place_for(const std::string& path, const MoveRequest& request,
                      std::span<const std::string> folders, const HostSettings& settings) {
  const std::string name = std::filesystem::path(path).filename().string();
  if (!request.disks_to.empty()) return (std::filesystem::path(request.disks_to) / name).string();
  if (is_allowed(folder_of(path), folders)) return path;
  return (std::filesystem::path(settings.default_folder) / name).string();
}

// A layer names the one below it by its path, and travels as it is.
void check_deep_layers(const DestinationView& view, Findings& findings) {
  std::string above;
  for (const FilePlacement& file : view.files) {
    const bool first = file.item != above;
    above = file.item;
    if (first || file.shared || file.destination_path == file.source_path) continue;
    findings.blocker(
        Code::kDiskBackingChain, file.item,
        fmt::format("{} would lie at {} on {}, where the layer above it does not look for it.",
                    file.source_path, file.destination_path, view.host.name),
        "Only the nearest layer of a disk can lie elsewhere than at the source.",
        {fmt::format("On {}: drover settings allowed-folders+={}, and no --disks-to",
                     view.host.name, word(folder_of(file.source_path))),
         "--flatten makes one image of the chain"});
  }
}

}  // namespace

std::string memory_item(const std::string& checkpoint) {
  return fmt::format("memory of {}", checkpoint);
}

std::vector<FilePlacement> place_files(const Vm& measured,
                                       std::span<const DiskPlacement> placements,
                                       const MoveRequest& request,
                                       std::span<const std::string> folders,
                                       const HostSettings& settings) {
  std::vector<FilePlacement> files;
  for (const Disk& disc : travelling_discs(request, measured)) {
    files.push_back({disc.target,
                     disc.path,
                     place_for(disc.path, request, folders, settings),
                     disc.format,
                     disc.virtual_size,
                     disc.allocated,
                     {}});
  }
  if (request.flatten) return files;
  for (const DiskPlacement& placement : placements) {
    const auto disk = std::ranges::find(measured.disks, placement.target, &Disk::target);
    if (disk == measured.disks.end()) continue;
    for (const DiskLayer& layer : disk->layers) {
      files.push_back({placement.target, layer.path,
                       place_for(layer.path, request, folders, settings), layer.format,
                       layer.virtual_size, layer.allocated, layer.cluster_size});
    }
  }
  for (const Checkpoint& checkpoint : measured.checkpoints) {
    const std::string& path = checkpoint.memory_file;
    if (path.empty()) continue;
    files.push_back({memory_item(checkpoint.name),
                     path,
                     place_for(path, request, folders, settings),
                     "raw",
                     {},
                     {},
                     {}});
  }
  return files;
}

bool can_travel(const Disk& disc, VmState state) {
  return is_drive(disc) && disc.kind == DiskKind::kFile && !disc.path.empty() &&
         disc.format == "raw" && (disc.read_only || state == VmState::kOff);
}

std::vector<Disk> travelling_discs(const MoveRequest& request, const Vm& vm) {
  std::vector<Disk> discs;
  if (request.media != Media::kCopy) return discs;
  std::ranges::copy_if(vm.disks, std::back_inserter(discs),
                       [&](const Disk& disk) { return can_travel(disk, vm.state); });
  return discs;
}

bool is_disc(const Vm& vm, const FilePlacement& file) {
  const auto disk = std::ranges::find(vm.disks, file.item, &Disk::target);
  return disk != vm.disks.end() && is_drive(*disk);
}

std::vector<FilePlacement> layers_of(const Plan& plan, std::string_view target) {
  std::vector<FilePlacement> layers;
  std::ranges::copy_if(plan.files, std::back_inserter(layers),
                       [&](const FilePlacement& file) { return file.item == target; });
  return layers;
}

bool stays_a_chain(const Plan& plan, std::string_view target) {
  return std::ranges::find(plan.files, target, &FilePlacement::item) != plan.files.end();
}

// One file may be the base of several disks; two files may not become one.
void check_files(const DestinationView& view, Findings& findings) {
  check_deep_layers(view, findings);
  for (const FilePlacement& file : view.files) {
    const auto clashes = [&](const auto& other) {
      return other.destination_path == file.destination_path &&
             other.source_path != file.source_path;
    };
    if (std::ranges::none_of(view.placements, clashes) && std::ranges::none_of(view.files, clashes))
      continue;
    std::vector<std::string> fixes{fmt::format(
        "Allow their own folders on {}: drover settings allowed-folders+=FOLDER", view.host.name)};
    if (!is_disc(view.proposal.vm, file))
      fixes.emplace_back("--flatten makes one image of each chain");
    findings.blocker(Code::kDiskCollision, file.item,
                     fmt::format("{} and another file of {} would both become {}.",
                                 file.source_path, view.name(), file.destination_path),
                     "Two files cannot have one name.", std::move(fixes));
  }
}

// What the destination has of a disk that stays where it is must be the whole chain.
void check_shared_chains(const DestinationView& view, Findings& findings) {
  for (const DiskPlacement& placement : view.placements) {
    if (!placement.shared) continue;
    for (const FilePlacement& file : view.files) {
      if (file.item != placement.target || file.shared) continue;
      findings.blocker(
          Code::kDiskBackingChain, placement.target,
          fmt::format("{} stays where it is, and {}, which it is built on, is not seen on {}.",
                      placement.destination_path, file.source_path, view.host.name),
          "The image alone is not the disk.",
          {fmt::format("Put {} where both hosts see it, at the same path.", file.source_path),
           fmt::format("virsh blockpull {} {} --wait", word(view.name()), placement.target)});
    }
  }
}

// An image holds these itself, and the mirror copies what its guest sees now.
void check_internal_checkpoints(const DestinationView& view, Findings& findings) {
  const MoveKind kind = view.proposal.request.kind.value_or(MoveKind::kLive);
  if (kind != MoveKind::kLive) return;
  for (const Checkpoint& checkpoint : view.proposal.vm.checkpoints) {
    for (const std::string& target : checkpoint.internal_disks) {
      const auto placement = std::ranges::find(view.placements, target, &DiskPlacement::target);
      if (placement == view.placements.end() || placement->shared) continue;
      const std::string vm = word(view.name());
      findings.blocker(
          Code::kCheckpointInternal, target,
          fmt::format("The checkpoint {} of {} lies within {}.", checkpoint.name, view.name(),
                      placement->source_path),
          "QEMU copies a running disk as it is now; what it was at the checkpoint stays behind.",
          {fmt::format("With a pause it travels within its image: drover move {} {} --quick", vm,
                       word(view.host.name)),
           fmt::format("If it is not needed any more: virsh snapshot-delete {} {}", vm,
                       word(checkpoint.name)),
           fmt::format("Another one in its place, made after that, lies beside the image and "
                       "travels: virsh snapshot-create-as {} NAME --disk-only --atomic",
                       vm),
           "On storage that both hosts see nothing is copied, and it stays."});
    }
  }
}

}  // namespace drover::preflight
