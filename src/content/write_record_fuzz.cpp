// SPDX-License-Identifier: Apache-2.0
// A record of writes, as any bytes: it is refused or read, and nothing that it says leaves its
// bounds.
#include <cstdlib>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

#include "content/written_disk.h"

using namespace drover;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const UniqueFd record(::memfd_create("record", MFD_CLOEXEC));
  UniqueFd scratch(::memfd_create("scratch", MFD_CLOEXEC));
  if (!record || !scratch || ::write(record.get(), data, size) != static_cast<ssize_t>(size))
    std::abort();
  const auto disk =
      content::WrittenDisk::read(record.get(), "vda", 3 * content::kChunkBytes, std::move(scratch));
  if (!disk) return 0;
  for (std::uint64_t chunk = 0; chunk < disk->chunks(); ++chunk) {
    const content::Name name = disk->name(chunk);
    if (!disk->complete() && name != content::kUnknownName) std::abort();
  }
  return 0;
}
