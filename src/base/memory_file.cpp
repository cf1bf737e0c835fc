// SPDX-License-Identifier: Apache-2.0
#include "base/memory_file.h"

#include <sys/mman.h>
#include <unistd.h>

namespace drover {

Result<UniqueFd> memory_file(const char* name, std::span<const std::uint8_t> bytes) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC));
  if (!fd) return fail_errno(fmt::format("Cannot create memory for {}", name));
  if (::write(fd.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    return fail_errno(fmt::format("Cannot write {}", name));
  ::lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

}  // namespace drover
