// SPDX-License-Identifier: Apache-2.0
// What a hypervisor can do that keeps the memory of a VM while the VM is off ("managed save"): one
// that does is both this and a Hypervisor. Any thread may call any function; errors as there.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "hypervisor/hypervisor.h"

namespace drover {

class SavedMemory {
 public:
  virtual ~SavedMemory() = default;

  // The file of a VM of this name, whether there is one or not. Whoever starts the VM finds it
  // there by itself, goes on from it, and removes it; while it is there the VM is not undefined.
  // Its form is that of Hypervisor::save(). Empty: none is kept.
  virtual std::string saved_memory_file(std::string_view name) const = 0;
  // The live definition within a file of that form, with which its guest goes on.
  virtual Result<std::string> saved_definition(std::string_view path) = 0;
  // Writes the memory and devices of a guest that stands still (suspend()) into a new file of that
  // form; a guest restored from it runs. This one stands still on, and until it runs again, or
  // something else uses its images, nothing locks them. Blocks for all of it, on a connection of
  // its own; abort_job() ends it.
  virtual Status write_memory(std::string_view uuid, std::string_view path) = 0;
  // Puts another one into it. kHypervisor and others: it is not for this guest, or too long.
  virtual Status define_saved(std::string_view path, std::string_view xml) = 0;
};

// kHypervisor: it keeps none.
Result<SavedMemory*> saved_memory_of(Hypervisor& hypervisor);
// As SavedMemory::define_saved(), and on stable storage.
Status define_saved_for_good(SavedMemory& keeper, const std::string& path, std::string_view xml);
// As SavedMemory::saved_memory_file().
std::string saved_memory_file(Hypervisor& hypervisor, std::string_view vm_name);

}  // namespace drover
