// SPDX-License-Identifier: Apache-2.0
// What a folder with an exported VM holds (docs/export.md, "The folder"). Pure functions; any
// thread. The text may come from anywhere: what it says is checked here as far as it can be without
// the files.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "hypervisor/checkpoint_xml.h"
#include "model/archive.h"
#include "model/host.h"

namespace drover::archive {

inline constexpr std::string_view kManifestName = "drover-export.json";
inline constexpr std::string_view kDefinitionName = "definition.xml";
// A manifest has the lowest version that has all its members: 1 knows no layers, checkpoints and
// TPM, 2 no memory, the VM's or a checkpoint's.
inline constexpr unsigned kManifestVersion = 3;
inline constexpr std::size_t kManifestBytesMax = 8u << 20;
inline constexpr std::size_t kCheckpointsMax = 256;
inline constexpr std::size_t kItemsMax = 256;
// UEFI variables have 0.5 to 4 MiB.
inline constexpr std::uint64_t kStateMost = 64u << 20;

inline constexpr std::string_view kDefinitionItem = "definition";
inline constexpr std::string_view kNvramItem = "nvram";
inline constexpr std::string_view kTpmItem = "tpm";
// The memory, in libvirt's form of saved guests, and the definition that its guest goes on with.
inline constexpr std::string_view kMemoryItem = "memory";
inline constexpr std::string_view kMemoryDefinitionItem = "memory-definition";
inline constexpr std::string_view kMemoryName = "memory.save";
inline constexpr std::string_view kMemoryDefinitionName = "memory.xml";

// The memory of a checkpoint that has a file of its own: "checkpoint-memory.1".
std::string checkpoint_memory_item(unsigned number);
bool is_checkpoint_memory(std::string_view item);
// The VM's, or a checkpoint's: large, and of no format.
bool is_memory(std::string_view item);

// An image of a disk: "vda", or "vda.2", the second of those that it is based on.
struct ImageName {
  std::string target;
  unsigned layer = 0;
  bool operator==(const ImageName&) const = default;
};
std::string image_item(std::string_view target, unsigned layer);
// Nothing: it is no image's.
std::optional<ImageName> image_name(std::string_view item);
// Of the image that this one is based on; nullptr: on none.
const ArchiveItem* item_below(std::span<const ArchiveItem> items, std::string_view item);

struct Manifest {
  std::string vm_name, vm_uuid;
  bool running = false;  // the disks are a picture of the running VM
  std::string host;      // where it was made
  std::string drover_version;
  Version libvirt_version = 0, qemu_version = 0;
  std::chrono::system_clock::time_point made_at;
  std::vector<ArchiveItem> items;           // the definition is one; each has its hash
  std::vector<CheckpointText> checkpoints;  // with the paths that the items had
};

std::string manifest_text(const Manifest& manifest);
// kCorrupt: not a manifest, changed since it was written, of a later version, or one that names
// what no export has: a file outside the folder, an item or a file twice, no definition.
Result<Manifest> read_manifest(std::string_view text);

// nullptr: there is no such item.
const ArchiveItem* find_item(const Manifest& manifest, std::string_view item);

// One part of a path, not hidden: letters, digits, ".", "_", "-", "+"; at most 128.
bool is_plain_file_name(std::string_view name);

}  // namespace drover::archive
