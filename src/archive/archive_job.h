// SPDX-License-Identifier: Apache-2.0
// The durable record of an export or an import: what the journal keeps beyond the Archive that
// people see. Every member is written before what it speaks of is done, so that the undo after a
// crash finds everything.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "hypervisor/checkpoint_xml.h"
#include "model/archive.h"
#include "move/job.h"

namespace drover::archive {

struct ArchiveJob {
  Archive archive;
  // An export: its folder under its first name; inode 0: about to be made.
  move::KnownFile staging;
  bool picture = false;  // QEMU may serve the disks
  bool stopped = false;  // the guest may stand still because of this job
  // An export: scratch images; an import: the VM's images and NVRAM. Inode 0: about to be made.
  std::vector<move::KnownFile> created;
  bool defining = false;  // an import: libvirt may know the VM, and then keeps it
  // An import: what libvirt is told of the VM once it knows it.
  std::vector<CheckpointText> checkpoints;
};

std::string to_json(const ArchiveJob& job);
Result<ArchiveJob> archive_job_from_json(std::string_view text);

}  // namespace drover::archive
