// SPDX-License-Identifier: Apache-2.0
// What a folder with an exported VM holds (docs/export.md, "The folder"). Pure functions; any
// thread. The text may come from anywhere: what it says is checked here as far as it can be without
// the files.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/archive.h"
#include "model/host.h"

namespace drover::archive {

inline constexpr std::string_view kManifestName = "drover-export.json";
inline constexpr std::string_view kDefinitionName = "definition.xml";
inline constexpr unsigned kManifestVersion = 1;
inline constexpr std::size_t kManifestBytesMax = 1u << 20;
inline constexpr std::size_t kItemsMax = 256;

inline constexpr std::string_view kDefinitionItem = "definition";
inline constexpr std::string_view kNvramItem = "nvram";

struct Manifest {
  std::string vm_name, vm_uuid;
  bool running = false;  // the disks are a picture of the running VM
  std::string host;      // where it was made
  std::string drover_version;
  Version libvirt_version = 0, qemu_version = 0;
  std::chrono::system_clock::time_point made_at;
  std::vector<ArchiveItem> items;  // the definition is one; each has its hash
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
