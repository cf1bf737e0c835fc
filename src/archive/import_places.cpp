// SPDX-License-Identifier: Apache-2.0
#include "archive/import_places.h"

#include <algorithm>
#include <filesystem>

#include "hypervisor/tpm_state.h"

namespace drover::archive {
namespace {

// A name that is one part of a path; the manifest may say anything.
std::string former_name(const ImportSource& source, const ArchiveItem& item) {
  const auto former = source.former_paths.find(item.item);
  if (former == source.former_paths.end()) return {};
  const std::string name = std::filesystem::path(former->second).filename().string();
  return name == "." || name == ".." ? std::string() : name;
}

bool is_taken(const std::vector<ArchiveItem>& items, const ImportPlaces& places,
              const std::string& path) {
  return path == places.nvram || path == places.memory ||
         std::ranges::find(items, path, &ArchiveItem::path) != items.end() ||
         std::ranges::find(places.placements, path, &DiskPlacement::destination_path) !=
             places.placements.end();
}

// Beside the disk's image: under its former name, unless the VM is another, or two were called so.
std::string layer_path(const ImportSource& source, const ImportPlaces& places,
                       const std::vector<ArchiveItem>& placed, const ArchiveItem& item,
                       const DiskPlacement& top) {
  const auto folder = std::filesystem::path(top.destination_path).parent_path();
  if (places.mode == ImportMode::kRestore) {
    const std::string name = former_name(source, item);
    const std::string path = (folder / name).string();
    if (!name.empty() && !is_taken(placed, places, path)) return path;
  }
  return folder / fmt::format("{}-{}{}", places.vm_name, item.item,
                              item.format == "raw" ? ".img" : "." + item.format);
}

// Beside the first disk. Empty: it is not imported (take_checkpoints()).
std::string checkpoint_memory_path(const ImportSource& source, const ImportPlaces& places,
                                   const std::vector<ArchiveItem>& placed,
                                   const ArchiveItem& item) {
  if (places.mode != ImportMode::kRestore || places.placements.empty()) return {};
  const auto folder =
      std::filesystem::path(places.placements.front().destination_path).parent_path();
  const std::string name = former_name(source, item);
  const std::string path = (folder / name).string();
  if (!name.empty() && !is_taken(placed, places, path)) return path;
  return folder / fmt::format("{}-{}", places.vm_name, item.file);
}

}  // namespace

std::vector<ArchiveItem> place_items(const ImportSource& source, const ImportPlaces& places) {
  std::vector<ArchiveItem> placed;
  for (ArchiveItem item : source.items) {
    const auto name = item.format.empty() ? std::nullopt : image_name(item.item);
    if (item.item == kNvramItem) {
      item.path = places.nvram;
    } else if (item.item == kTpmItem) {
      item.path = tpm_state_place(places.tpm_folder, places.vm_uuid, item.file);
    } else if (item.item == kMemoryItem) {
      item.path = places.memory;
    } else if (is_checkpoint_memory(item.item)) {
      item.path = checkpoint_memory_path(source, places, placed, item);
    } else if (name) {
      const auto top = std::ranges::find(places.placements, name->target, &DiskPlacement::target);
      if (top == places.placements.end()) continue;
      if (name->layer == 0) {
        item.path = top->destination_path;
        item.virtual_size = top->virtual_size;
      } else {
        item.path = places.mode == ImportMode::kRegister
                        ? source.folder.path() + "/" + item.file
                        : layer_path(source, places, placed, item, *top);
      }
    }
    if (!item.path.empty()) placed.push_back(std::move(item));
  }
  return placed;
}

}  // namespace drover::archive
