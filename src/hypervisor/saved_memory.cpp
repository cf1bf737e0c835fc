// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/saved_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace drover {

Result<SavedMemory*> saved_memory_of(Hypervisor& hypervisor) {
  auto* const saved = dynamic_cast<SavedMemory*>(&hypervisor);
  if (saved != nullptr) return saved;
  return fail(ErrorCode::kHypervisor, "This hypervisor keeps no memory of VMs that are off.");
}

Status define_saved_for_good(SavedMemory& keeper, const std::string& path, std::string_view xml) {
  RETURN_IF_ERROR(keeper.define_saved(path, xml));
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file || ::fsync(file.get()) != 0) return fail_errno("Cannot sync " + path);
  return {};
}

std::string saved_memory_file(Hypervisor& hypervisor, std::string_view vm_name) {
  const auto saved = saved_memory_of(hypervisor);
  return saved ? (*saved)->saved_memory_file(vm_name) : std::string();
}

}  // namespace drover
