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

void check_flattened(const SourceView& view, Findings& findings) {
  for (const Checkpoint& checkpoint : view.vm.checkpoints) {
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
  const MoveKind kind = view.request.kind.value_or(MoveKind::kLive);
  if (kind == MoveKind::kStorage) {
    return refuse_all(
        view, "They name the disks where they lie now; none could be reverted to afterwards.",
        findings);
  }
  if (kind != MoveKind::kLive) {
    return refuse_all(view, "libvirt keeps them on its own host; they would be lost.", findings);
  }
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

// `chain`: the paths below the disk's image.
void check_chain(const SourceFacts& facts, const Disk& image, const std::string& object,
                 const std::vector<std::string>& chain, Findings& findings) {
  const std::string what = fmt::format("{} is built on {}.", object, fmt::join(chain, ", "));
  const MoveRequest& request = facts.view.request;
  if (request.flatten) {
    return findings.note(Code::kDiskBackingChain, image.target, what,
                         "It becomes one image, which stands for itself.");
  }
  const bool live = request.kind.value_or(MoveKind::kLive) == MoveKind::kLive;
  const bool files = image.layers.size() == chain.size() &&
                     std::ranges::all_of(image.layers, [](const DiskLayer& layer) {
                       return is_plain_path(layer.path) && !layer.path.starts_with("/dev/") &&
                              (layer.format == "raw" || layer.format == "qcow2");
                     });
  if (live && files) {
    return findings.note(Code::kDiskBackingChain, image.target, what,
                         "It stays so: what it is built on travels as it is, if it is not there "
                         "already. --flatten makes one image of it.");
  }
  findings.blocker(
      Code::kDiskBackingChain, image.target, what,
      live ? "Not all of it is files of raw or qcow2, which can be copied as they are."
           : "Moves of this kind take a disk as one image.",
      {"--flatten makes one image of it", fmt::format("virsh blockpull {} {} --wait, while it runs",
                                                      word(facts.name()), image.target)});
}

}  // namespace drover::preflight
