// SPDX-License-Identifier: Apache-2.0
#include "move/plan/stale_plan.h"

#include <algorithm>
#include <iterator>

#include <fmt/ranges.h>

#include "hypervisor/device_changes.h"

namespace drover::move {
namespace {

using Changes = std::vector<std::string>;

template <typename T>
const T* of_target(const std::vector<T>& list, const std::string& target) {
  const auto found = std::ranges::find(list, target, &T::target);
  return found == list.end() ? nullptr : &*found;
}

void compare_vm(const Vm& shown, const Vm& now, Changes& changes) {
  if (shown.state != now.state)
    changes.push_back(fmt::format("It was {} and is {}.", vm_state_words(shown.state),
                                  vm_state_words(now.state)));
  if (shown.saved != now.saved)
    changes.emplace_back(now.saved ? "It was saved." : "Its saved memory is gone.");
  if (shown.memory != now.memory) {
    changes.push_back(
        fmt::format("It had {} of memory and has {}.", to_text(shown.memory), to_text(now.memory)));
  }
  if (shown.vcpus != now.vcpus)
    changes.push_back(fmt::format("It had {} CPUs and has {}.", shown.vcpus, now.vcpus));
  if (shown.snapshots != now.snapshots) {
    changes.push_back(
        fmt::format("It had {} snapshots and has {}.", shown.snapshots, now.snapshots));
  }
  if (shown.nvram_path != now.nvram_path)
    changes.emplace_back("Its UEFI variables lie in another file.");
}

void compare_disk(const Disk& shown, const Disk& now, Changes& changes) {
  if (shown.path != now.path) {
    changes.push_back(fmt::format("{} was {} and is {}.", shown.target,
                                  shown.path.empty() ? "empty" : shown.path,
                                  now.path.empty() ? "empty" : now.path));
    return;
  }
  if (shown.format != now.format || shown.backing_chain != now.backing_chain)
    changes.push_back(fmt::format("The image of {} is another one.", shown.target));
  if (shown.virtual_size != now.virtual_size && shown.virtual_size.bytes > 0 &&
      now.virtual_size.bytes > 0) {
    changes.push_back(fmt::format("{} was {} large and is {}.", shown.target,
                                  to_text(shown.virtual_size), to_text(now.virtual_size)));
  }
}

void compare_disks(const Vm& shown, const Vm& now, Changes& changes) {
  for (const Disk& disk : shown.disks) {
    if (const Disk* same = of_target(now.disks, disk.target))
      compare_disk(disk, *same, changes);
    else
      changes.push_back(fmt::format("The disk {} is gone.", disk.target));
  }
  for (const Disk& disk : now.disks) {
    if (of_target(shown.disks, disk.target) == nullptr)
      changes.push_back(fmt::format("The disk {} is new.", disk.target));
  }
}

void compare_placements(const Plan& shown, const Plan& now, Changes& changes) {
  for (const DiskPlacement& disk : shown.placements) {
    const DiskPlacement* same = of_target(now.placements, disk.target);
    if (same == nullptr) continue;  // the disk itself is gone, or a blocker says why
    if (disk.shared != same->shared) {
      changes.push_back(fmt::format("{} was {} and is {} now.", disk.target,
                                    disk.shared ? "seen by both hosts" : "to be copied",
                                    same->shared ? "seen by both hosts" : "to be copied"));
    } else if (disk.destination_path != same->destination_path) {
      changes.push_back(fmt::format("{} would land at {}, not at {}.", disk.target,
                                    same->destination_path, disk.destination_path));
    }
  }
}

// What disks stand on, checkpoints' memory, and the UEFI variables.
void compare_files(const Plan& shown, const Plan& now, Changes& changes) {
  const auto key = [](const FilePlacement& file) { return file.source_path; };
  for (const FilePlacement& file : shown.files) {
    const auto same = std::ranges::find(now.files, file.source_path, key);
    if (same == now.files.end()) {
      if (!now.files.empty() || now.placements.size() == shown.placements.size())
        changes.push_back(fmt::format("{} is no part of it any more.", file.source_path));
    } else if (same->destination_path != file.destination_path) {
      changes.push_back(fmt::format("{} would land at {}, not at {}.", file.source_path,
                                    same->destination_path, file.destination_path));
    } else if ((file.present || file.shared) && !same->present && !same->shared) {
      changes.push_back(
          fmt::format("{} was there already and is to be copied now.", file.source_path));
    }
  }
  for (const FilePlacement& file : now.files) {
    if (std::ranges::find(shown.files, file.source_path, key) == shown.files.end())
      changes.push_back(fmt::format("{} is a part of it now.", file.source_path));
  }
  if (shown.nvram_destination != now.nvram_destination && !shown.nvram_destination.empty() &&
      !now.nvram_destination.empty()) {
    changes.push_back(fmt::format("Its UEFI variables would land at {}, not at {}.",
                                  now.nvram_destination, shown.nvram_destination));
  }
}

// With a blocker there is no way; that is told as such.
void compare_networks(const Plan& shown, const Plan& now, Changes& changes) {
  const auto ways = [](const Plan& plan) {
    std::vector<std::string> list;
    for (const NetworkPair& pair : plan.networks) list.push_back(pair.destination_address);
    return list;
  };
  const auto before = ways(shown), after = ways(now);
  if (before == after || before.empty() || after.empty()) return;
  changes.push_back(fmt::format("It would go to {}, not to {}.", fmt::join(after, " and "),
                                fmt::join(before, " and ")));
}

}  // namespace

std::vector<std::string> changed_since(const Planned& shown, const Planned& now) {
  Changes changes;
  if (shown.plan.kind != now.plan.kind) {
    changes.push_back(fmt::format("It would be a move of the kind {}, not {}.",
                                  move_kind_name(now.plan.kind), move_kind_name(shown.plan.kind)));
  }
  compare_vm(shown.plan.vm, now.plan.vm, changes);
  compare_disks(shown.plan.vm, now.plan.vm, changes);
  compare_placements(shown.plan, now.plan, changes);
  compare_files(shown.plan, now.plan, changes);
  compare_networks(shown.plan, now.plan, changes);
  if (shown.plan.vm.state == now.plan.vm.state)
    std::ranges::move(device_changes(shown.live_xml, now.live_xml), std::back_inserter(changes));
  // What was found already is a part of this.
  if (changes.empty() && shown.persistent_xml != now.persistent_xml)
    changes.emplace_back("Its definition was changed.");
  return changes;
}

Status check_not_stale(const Planned& shown, const Planned& now) {
  std::vector<std::string> changes = changed_since(shown, now);
  if (changes.empty()) return {};
  const Plan& plan = shown.plan;
  return std::unexpected(Error{
      ErrorCode::kConflict, Retry::kNever,
      fmt::format("The plan {} of {} is stale: what it was made of has changed since. Look at "
                  "a new one.",
                  plan.id, plan.vm.name),
      std::move(changes)});
}

}  // namespace drover::move
