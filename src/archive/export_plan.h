// SPDX-License-Identifier: Apache-2.0
// What an export would do. Asks this host alone; reads only. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "hypervisor/hypervisor.h"
#include "model/archive.h"
#include "move/world.h"
#include "preflight/export.h"

namespace drover::archive {

struct PlannedExport {
  Archive archive;                  // with findings and items, which have no hashes yet
  std::string definition;           // as it goes into the folder
  std::string seen_xml, seen_next;  // the definitions it was made of: whose disks are exported, and
                                    // that of the next boot (empty: there is none)
  std::vector<preflight::ExportedDisk> disks;
  std::vector<CheckpointText> checkpoints;
  std::vector<preflight::CheckpointMemory> memories;  // of these
  std::string nvram;                                  // empty: the VM has none
  std::string tpm_state;                              // likewise
  bool running = false;
  bool memory = false;          // is exported: written anew if it runs
  std::string saved_memory;     // of a VM that is off, the file that has it; empty: none
  std::uint32_t snapshots = 0;  // as many as libvirt knows
  Version libvirt_version = 0, qemu_version = 0;
};

// As the VM of the folder has it: each exported disk is one file without others below it.
// kInvalidArgument: it lacks one of them.
Result<std::string> whole_disks(const std::string& definition,
                                const std::vector<preflight::ExportedDisk>& disks);

// The id of a job that has the VM of this UUID, or empty.
using JobOfVm = std::function<std::string(std::string_view vm_uuid)>;

// `tpm_folder`: where swtpm keeps its states. kNotFound: no such VM.
Result<PlannedExport> plan_export(move::World& world, const ArchiveRequest& request,
                                  const std::string& tpm_folder, const JobOfVm& busy);

// kConflict: the VM is not what the plan was made of: it was started, ended, defined anew or given
// other disks.
Status check_unchanged(Hypervisor& hypervisor, const PlannedExport& planned);

}  // namespace drover::archive
