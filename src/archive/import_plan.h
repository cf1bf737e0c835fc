// SPDX-License-Identifier: Apache-2.0
// What an import would do. The folder may come from anywhere: nothing in it is believed. Reads
// only. Any thread.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "hypervisor/checkpoint_xml.h"
#include "model/archive.h"
#include "model/host.h"
#include "model/vm.h"
#include "move/world.h"

namespace drover::archive {

struct PlannedImport {
  Archive archive;         // with findings; the items are those of the folder that are used, with
                           // the paths that they get
  std::string definition;  // as libvirt would get it; empty: there are blockers
  std::vector<CheckpointText> checkpoints;  // likewise
  std::string memory_definition;            // with which its memory goes on; empty: it has none
  bool has_manifest = false;
};

// `tpm_folder`: where libvirt keeps states of TPMs; `elsewhere`: VMs of paired hosts. kNotFound: no
// such folder, or nothing to import in it; kPermission: not an allowed folder; kCorrupt: the
// manifest; kPolicy: links and the like; kInvalidArgument: a request that makes no sense.
Result<PlannedImport> plan_import(move::World& world, const ArchiveRequest& request,
                                  const std::string& tpm_folder, const std::vector<Vm>& elsewhere);

// What this host's administrator lets a definition refer to.
Result<std::vector<std::string>> refused_references(std::string_view definition,
                                                    const HostFacts& host,
                                                    const HostSettings& settings);

}  // namespace drover::archive
