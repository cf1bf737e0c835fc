// SPDX-License-Identifier: Apache-2.0
#include "move/storage/storage_files.h"

#include <algorithm>
#include <iterator>

namespace drover::move {

std::vector<FilePlacement> moved_files(const Plan& plan) {
  std::vector<FilePlacement> files;
  // The plan has the nearest of each disk first.
  for (auto file = plan.files.rbegin(); file != plan.files.rend(); ++file) {
    const auto is_it = [&](const FilePlacement& other) {
      return other.destination_path == file->destination_path;
    };
    if (!file->shared && std::ranges::none_of(files, is_it)) files.push_back(*file);
  }
  return files;
}

const FilePlacement* below_image(const Plan& plan, const DiskPlacement& placement) {
  const auto found = std::ranges::find(plan.files, placement.target, &FilePlacement::item);
  return found == plan.files.end() ? nullptr : &*found;
}

const FilePlacement* below_layer(const Plan& plan, const FilePlacement& layer) {
  const auto it = std::ranges::find_if(plan.files, [&](const FilePlacement& file) {
    return file.item == layer.item && file.source_path == layer.source_path;
  });
  if (it == plan.files.end()) return nullptr;
  const auto next = std::next(it);
  return next == plan.files.end() || next->item != layer.item ? nullptr : &*next;
}

bool becomes_one(const Plan& plan, const DiskPlacement& placement) {
  if (!plan.request.flatten) return false;
  const auto disk = std::ranges::find(plan.vm.disks, placement.target, &Disk::target);
  return disk != plan.vm.disks.end() && !disk->backing_chain.empty();
}

}  // namespace drover::move
