// SPDX-License-Identifier: Apache-2.0
// Checkpoints, which libvirt calls snapshots, and the layers that images are built on.
#include <algorithm>
#include <set>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "hypervisor/allowed_folder.h"
#include "hypervisor/checkpoint_xml.h"
#include "preflight/source_facts.h"

namespace drover::preflight {
namespace {

// What travels with the VM anyway.
std::set<std::string> travelling_files(const Vm& vm) {
  std::set<std::string> files{vm.nvram_path};
  for (const Disk& disk : vm.disks) {
    files.insert(disk.path);
    files.insert(disk.backing_chain.begin(), disk.backing_chain.end());
  }
  for (const Checkpoint& checkpoint : vm.checkpoints) files.insert(checkpoint.memory_file);
  return files;
}

void refuse_all(const SourceView& view, std::string why, Findings& findings) {
  const Vm& vm = view.vm;
  findings.blocker(
      Code::kSnapshots, vm.name,
      fmt::format("{} has {} snapshot{}.", vm.name, vm.snapshots, vm.snapshots == 1 ? "" : "s"),
      std::move(why),
      {fmt::format("virsh snapshot-list {}", word(vm.name)),
       fmt::format("virsh snapshot-delete {} NAME, for each that is not needed any more",
                   word(vm.name)),
       fmt::format("For external ones first: virsh blockpull {} TARGET --wait, then: virsh "
                   "snapshot-delete {} NAME --metadata",
                   word(vm.name), word(vm.name))});
}

// A branch that nobody works on now has images of its own, which no disk is built on.
void check_checkpoint_files(const SourceView& view, Findings& findings) {
  const auto travelling = travelling_files(view.vm);
  for (const CheckpointText& text : view.checkpoints) {
    const auto paths = checkpoint_paths(text.xml);
    if (!paths) continue;
    for (const std::string& path : *paths) {
      if (travelling.contains(path)) continue;
      findings.blocker(
          Code::kCheckpointFiles, text.name,
          fmt::format("The checkpoint {} needs {}, which no disk of {} is built on now.", text.name,
                      path, view.vm.name),
          "Only what the disks stand on travels with them; without that file nobody could go back "
          "to the checkpoint.",
          {fmt::format("virsh snapshot-delete {} {} --metadata, if it is not needed any more",
                       word(view.vm.name), word(text.name))});
    }
  }
}

// The images that both hold a checkpoint and stand on another.
std::vector<std::string> chains_with(const Vm& vm, const Checkpoint& checkpoint) {
  std::vector<std::string> targets;
  for (const Disk& disk : vm.disks) {
    const auto& within = checkpoint.internal_disks;
    const bool holds = std::ranges::find(within, disk.target) != within.end();
    if (holds && !disk.backing_chain.empty()) targets.push_back(disk.target);
  }
  return targets;
}

void check_flattened(const SourceView& view, Findings& findings) {
  for (const Checkpoint& checkpoint : view.vm.checkpoints) {
    if (const auto within = chains_with(view.vm, checkpoint); !within.empty()) {
      findings.blocker(Code::kCheckpointInternal, fmt::format("{}", fmt::join(within, ", ")),
                       fmt::format("The checkpoint {} lies within an image of {} that is built on "
                                   "another.",
                                   checkpoint.name, view.vm.name),
                       "One new image is made of what the guest sees now; the checkpoint would "
                       "stay behind.",
                       {"Leave --flatten out.",
                        fmt::format("virsh snapshot-delete {} {}, if it is not needed any more",
                                    word(view.vm.name), word(checkpoint.name))});
    }
    if (checkpoint.external_disks.empty()) continue;
    findings.blocker(Code::kCheckpointFiles, checkpoint.name,
                     fmt::format("The checkpoint {} is a layer below {} of {}.", checkpoint.name,
                                 fmt::join(checkpoint.external_disks, ", "), view.vm.name),
                     "Made one image, the disk has no layer to go back to.",
                     {"Leave --flatten out.",
                      fmt::format("virsh snapshot-delete {} {} --metadata, if it is not needed any "
                                  "more",
                                  word(view.vm.name), word(checkpoint.name))});
  }
}

}  // namespace

void check_checkpoints(const SourceView& view, Findings& findings) {
  const Vm& vm = view.vm;
  if (vm.snapshots == 0) return;
  if (vm.checkpoints.size() != vm.snapshots || view.checkpoints.size() != vm.snapshots) {
    return refuse_all(view, "They cannot be read, so they would be lost.", findings);
  }
  check_checkpoint_files(view, findings);
  if (view.request.flatten) check_flattened(view, findings);
  std::vector<std::string> names;
  for (const Checkpoint& checkpoint : vm.checkpoints) names.push_back(checkpoint.name);
  findings.note(Code::kCheckpointsTravel, vm.name,
                fmt::format("{} has {} checkpoint{}: {}.", vm.name, vm.snapshots,
                            vm.snapshots == 1 ? "" : "s", fmt::join(names, ", ")),
                "libvirt moves no VM that has any: this host's forgets them for the move, and the "
                "destination's is told of them.");
}

void check_moved_checkpoints(const SourceFacts& facts, Findings& findings) {
  const SourceView& view = facts.view;
  const Vm& vm = view.vm;
  if (vm.snapshots == 0) return;
  if (vm.checkpoints.size() != vm.snapshots || view.checkpoints.size() != vm.snapshots) {
    return refuse_all(view, "They cannot be read, and name the disks where they lie now.",
                      findings);
  }
  check_checkpoint_files(view, findings);
  if (view.request.flatten) check_flattened(view, findings);
  for (const Checkpoint& checkpoint : vm.checkpoints) {
    for (const std::string& target : checkpoint.internal_disks) {
      const bool moves = std::ranges::any_of(
          facts.live.disks, [&](const DiskFacts& disk) { return disk.disk.target == target; });
      // Of a VM that is off the file is copied as it is.
      const bool as_it_is = vm.state == VmState::kOff && !view.request.flatten &&
                            view.request.format.empty() && !view.request.allocation;
      if (!moves || as_it_is) continue;
      findings.blocker(
          Code::kCheckpointInternal, target,
          fmt::format("The checkpoint {} of {} lies within {}.", checkpoint.name, vm.name, target),
          "QEMU copies a disk as its guest sees it now; what it was at the checkpoint stays "
          "behind.",
          {fmt::format("While {} is off it goes along: virsh shutdown {}", vm.name, word(vm.name)),
           fmt::format("If it is not needed any more: virsh snapshot-delete {} {}", word(vm.name),
                       word(checkpoint.name))});
    }
  }
  findings.note(
      Code::kCheckpointsTravel, vm.name,
      fmt::format("{} has {} checkpoint{}.", vm.name, vm.snapshots, vm.snapshots == 1 ? "" : "s"),
      "libvirt is told where their images lie then; their memory stays where it is.");
}

// `chain`: the paths below the disk's image.
void check_chain(const SourceFacts& facts, const Disk& image, const std::string& object,
                 const std::vector<std::string>& chain, Findings& findings) {
  const std::string what = fmt::format("{} is built on {}.", object, fmt::join(chain, ", "));
  const MoveRequest& request = facts.view.request;
  if (request.flatten) {
    return findings.note(Code::kDiskBackingChain, image.target, what,
                         "It becomes one image, which stands for itself.");
  }
  const MoveKind kind = request.kind.value_or(MoveKind::kLive);
  const bool storage = kind == MoveKind::kStorage;
  const bool files = image.layers.size() == chain.size() &&
                     std::ranges::all_of(image.layers, [](const DiskLayer& layer) {
                       return is_plain_path(layer.path) && !layer.path.starts_with("/dev/") &&
                              (layer.format == "raw" || layer.format == "qcow2");
                     });
  if (storage && files) {
    return findings.note(Code::kDiskBackingChain, image.target, what,
                         "It stays so: what it is built on goes along. --flatten makes one image "
                         "of it.");
  }
  if (files) {
    return findings.note(Code::kDiskBackingChain, image.target, what,
                         "It stays so: what it is built on travels as it is, if it is not there "
                         "already. --flatten makes one image of it.");
  }
  findings.blocker(
      Code::kDiskBackingChain, image.target, what,
      "Not all of it is files of raw or qcow2, which can be copied as they are.",
      {"--flatten makes one image of it", fmt::format("virsh blockpull {} {} --wait, while it runs",
                                                      word(facts.name()), image.target)});
}

}  // namespace drover::preflight
