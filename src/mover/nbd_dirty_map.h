// SPDX-License-Identifier: Apache-2.0
// Reads one of QEMU's dirty bitmaps from its NBD server: the metadata context
// "qemu:dirty-bitmap:NAME" (QEMU's docs/interop/nbd.txt). One thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/deadline.h"
#include "base/error.h"
#include "base/unique_fd.h"

namespace drover::mover {

struct DirtyRange {
  std::uint64_t offset = 0;  // bytes of the disk
  std::uint64_t length = 0;
  bool operator==(const DirtyRange&) const = default;
};

// What the bitmap marks of `length` bytes from `offset` on, in order, neighbours joined.
// kUnavailable: the server is gone, or has no such export or bitmap; kTimeout; kProtocol.
Result<std::vector<DirtyRange>> dirty_ranges(UniqueFd socket, std::string_view export_name,
                                             std::string_view bitmap, std::uint64_t offset,
                                             std::uint64_t length, Deadline deadline);

}  // namespace drover::mover
