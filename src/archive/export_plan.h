// SPDX-License-Identifier: Apache-2.0
// What an export would do. Asks this host alone; reads only. Any thread.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "model/archive.h"
#include "move/world.h"
#include "preflight/export.h"

namespace drover::archive {

struct PlannedExport {
  Archive archive;         // with findings and items, which have no hashes yet
  std::string definition;  // as it goes into the folder
  std::vector<preflight::ExportedDisk> disks;
  std::string nvram;  // empty: the VM has none
  bool running = false;
  Version libvirt_version = 0, qemu_version = 0;
};

// `busy`: the id of a job that has the VM, or empty. kNotFound: no such VM.
Result<PlannedExport> plan_export(move::World& world, const ArchiveRequest& request,
                                  const std::string& busy);

}  // namespace drover::archive
