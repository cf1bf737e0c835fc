// SPDX-License-Identifier: Apache-2.0
// Checks of a storage move: disks of a VM, running or off, to other places on its own host. Reads
// only. Any thread.
#pragma once

#include <span>
#include <vector>

#include "base/error.h"
#include "model/plan.h"
#include "preflight/preflight.h"

namespace drover::preflight {

struct StorageReport {
  std::vector<Finding> findings;
  std::vector<DiskPlacement> placements;  // of the disks that move
  // What they are built on, unless it becomes one image with them; `shared`: it lies there already,
  // with all below it, and stays.
  std::vector<FilePlacement> files;
};

// An error where the request names what is not there: an item twice or unknown, no place, a pool
// that holds no files. What only stands in the way is a finding.
// `vms`: all of this host. `pools`: volume_pools_asked().
Result<StorageReport> check_storage(const SourceView& view, std::span<const Vm> vms,
                                    std::vector<VolumePool> pools = {});

}  // namespace drover::preflight
