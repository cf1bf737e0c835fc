// SPDX-License-Identifier: Apache-2.0
// Checks of an export: what of a VM, running or off, would be written into a folder, and what
// stands in the way (docs/export.md). Reads only. Any thread.
#pragma once

#include <string>
#include <vector>

#include "base/byte_count.h"
#include "base/error.h"
#include "model/archive.h"
#include "model/host.h"
#include "model/plan.h"
#include "model/vm.h"

namespace drover::preflight {

struct ExportView {
  Vm vm;            // as Hypervisor::find_vm gives it, with `move_id` filled by the caller
  std::string xml;  // the definition whose disks are exported: the live one of a VM that runs
  HostFacts host;   // with `settings`
  ArchiveRequest request;
};

// How a disk comes into the folder.
enum class ExportWay {
  kBytes,    // its image as it is
  kFlatten,  // it and what it is based on, as one image
  kPicture,  // of a running VM: as it was at one instant, through its QEMU
};

struct ExportedDisk {
  std::string target, path, format;
  ByteCount virtual_size, allocated, cluster_size;  // the last: qcow2 only
  ExportWay way = ExportWay::kBytes;
};

struct ExportReport {
  std::vector<Finding> findings;
  std::vector<ExportedDisk> disks;
};

// An error only when the definition cannot be read.
Result<ExportReport> check_export(const ExportView& view);

}  // namespace drover::preflight
