// SPDX-License-Identifier: Apache-2.0
// Checks of an export: what of a VM, running or off, would be written into a folder, and what
// stands in the way (docs/export.md). Reads only. Any thread.
#pragma once

#include <string>
#include <vector>

#include "base/byte_count.h"
#include "base/error.h"
#include "hypervisor/checkpoint_xml.h"
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
  std::vector<CheckpointText> checkpoints;  // all of the VM's
  std::string tpm_state;  // the file that is exported; empty: there is none, or none that can be
  bool tpm_kept = false;  // its TPM's state is such a file, or there is none yet
  // Of a VM that is off with its memory kept: the file of it; empty: it cannot be exported, and
  // why.
  std::string saved_memory, memory_error;
  ByteCount saved_bytes;
};

// How a disk comes into the folder.
enum class ExportWay {
  kBytes,            // its image as it is
  kFlatten,          // it and what it is based on, as one image
  kLayers,           // it and what it is based on, each as it is but for the name of the one below
  kPicture,          // of a running VM: as it was at one instant, through its QEMU
  kPictureOnLayers,  // likewise, but what it is based on stays apart and is copied as it is
};

inline bool is_picture(ExportWay way) {
  return way == ExportWay::kPicture || way == ExportWay::kPictureOnLayers;
}
inline bool keeps_layers(ExportWay way) {
  return way == ExportWay::kLayers || way == ExportWay::kPictureOnLayers;
}

struct ExportedDisk {
  std::string target, path, format;
  ByteCount virtual_size, allocated, cluster_size;  // the last: qcow2 only
  ExportWay way = ExportWay::kBytes;
  std::vector<DiskLayer> layers;  // what it is based on, nearest first
};

// The memory of a checkpoint, a file of its own.
struct CheckpointMemory {
  std::string checkpoint, path;
  ByteCount size;
};

struct ExportReport {
  std::vector<Finding> findings;
  std::vector<ExportedDisk> disks;
  std::vector<CheckpointText> checkpoints;  // those that are exported: all of the VM's, or none
  std::vector<CheckpointMemory> memories;   // of these
};

// An error only when the definition cannot be read.
Result<ExportReport> check_export(const ExportView& view);

}  // namespace drover::preflight
