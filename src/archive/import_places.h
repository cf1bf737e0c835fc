// SPDX-License-Identifier: Apache-2.0
// Where what a folder holds beside its disks' own images will lie. Reads only. Any thread.
#pragma once

#include <string>
#include <vector>

#include "archive/import_source.h"
#include "model/archive.h"
#include "model/plan.h"

namespace drover::archive {

struct ImportPlaces {
  ImportMode mode = ImportMode::kRestore;
  std::string vm_name, vm_uuid;
  std::vector<DiskPlacement> placements;  // of the disks' own images
  std::string nvram;                      // empty: it has none
  std::string tpm_folder;                 // where libvirt keeps states of TPMs
  std::string memory;                     // of saved memory; empty: none is imported
};

// The items that are used, each with its path.
std::vector<ArchiveItem> place_items(const ImportSource& source, const ImportPlaces& places);

}  // namespace drover::archive
