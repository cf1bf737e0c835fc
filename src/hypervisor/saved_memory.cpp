// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/saved_memory.h"

namespace drover {

Result<SavedMemory*> saved_memory_of(Hypervisor& hypervisor) {
  auto* const saved = dynamic_cast<SavedMemory*>(&hypervisor);
  if (saved != nullptr) return saved;
  return fail(ErrorCode::kHypervisor, "This hypervisor keeps no memory of VMs that are off.");
}

std::string saved_memory_file(Hypervisor& hypervisor, std::string_view vm_name) {
  const auto saved = saved_memory_of(hypervisor);
  return saved ? (*saved)->saved_memory_file(vm_name) : std::string();
}

}  // namespace drover
