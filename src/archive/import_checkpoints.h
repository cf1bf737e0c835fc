// SPDX-License-Identifier: Apache-2.0
// Checkpoints of a folder, made ones of the VM that is imported. They hold definitions that libvirt
// starts when somebody goes back to one: they are judged like the VM's own. Any thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "hypervisor/checkpoint_xml.h"
#include "model/host.h"

namespace drover::archive {

struct CheckpointsToImport {
  std::vector<CheckpointText> texts;         // as the folder has them
  std::map<std::string, std::string> paths;  // where each file was, and where it will be
  std::string before, now;                   // definitions: the folder's, and the imported VM's
  bool new_identity = false;
  std::set<std::string> memories;  // of `paths`, where the memory of checkpoints will be
  std::string memory_left;         // why there is none of these
};

// An error says why none of them can be taken: kPolicy, kInvalidArgument.
Result<std::vector<CheckpointText>> import_checkpoints(const CheckpointsToImport& from,
                                                       const HostFacts& host,
                                                       const HostSettings& settings);

}  // namespace drover::archive
