// SPDX-License-Identifier: Apache-2.0
// A folder that shall be imported, read and looked at: with a manifest, or a libvirt definition
// with images beside it. Nothing in it is believed. Reads only. Any thread.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "archive/export_folder.h"
#include "archive/manifest.h"
#include "base/error.h"

namespace drover::archive {

struct ImportSource {
  ExportFolder folder;
  std::optional<Manifest> manifest;
  std::string definition;          // as the folder has it
  std::string memory_definition;   // with which its memory goes on, likewise; empty: it has none
  std::vector<ArchiveItem> items;  // what is there of the VM, with the manifest's hashes
  std::map<std::string, std::string> former_paths;  // of items: where the manifest says they were
  std::vector<std::string> damaged;                 // what is not as it should be: sentences
};

// kNotFound: no such folder, or neither a manifest nor a definition in it; kPermission: not beneath
// an allowed folder; kCorrupt: the manifest, or a definition that is not the manifest's; kPolicy:
// a link or the like in place of a file; kInvalidArgument: several definitions, or none that can be
// read.
Result<ImportSource> read_import(const std::string& path, std::span<const std::string> allowed);

}  // namespace drover::archive
