// SPDX-License-Identifier: Apache-2.0
// Reads from QEMU's NBD server what one of its dirty bitmaps marks, the metadata context
// "qemu:dirty-bitmap:NAME" (QEMU's docs/interop/nbd.txt), what has data, "base:allocation" (NBD's
// proto.md), or which image of a chain has it, "qemu:allocation-depth". One thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/deadline.h"
#include "base/error.h"
#include "base/unique_fd.h"

namespace drover::mover {

struct DiskRange {
  std::uint64_t offset = 0;  // bytes of the disk
  std::uint64_t length = 0;
  bool operator==(const DiskRange&) const = default;
};
using DirtyRange = DiskRange;

// What the bitmap marks of `length` bytes from `offset` on, in order, neighbours joined.
// kUnavailable: the server is gone, or has no such export or bitmap; kTimeout; kProtocol.
Result<std::vector<DirtyRange>> dirty_ranges(UniqueFd socket, std::string_view export_name,
                                             std::string_view bitmap, std::uint64_t offset,
                                             std::uint64_t length, Deadline deadline);

// What does not read as zeros of the first `length` bytes, likewise.
Result<std::vector<DiskRange>> data_ranges(UniqueFd socket, std::string_view export_name,
                                           std::uint64_t length, Deadline deadline);

// What the first `images` images of the export's chain hold themselves, zeros too, likewise. The
// export has to tell its "allocation-depth".
Result<std::vector<DiskRange>> upper_ranges(UniqueFd socket, std::string_view export_name,
                                            std::uint32_t images, std::uint64_t length,
                                            Deadline deadline);

}  // namespace drover::mover
