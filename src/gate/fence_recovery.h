// SPDX-License-Identifier: Apache-2.0
// Finds a fence again after every process of Drover that held it has died. QEMU still holds copies
// of the locked descriptions (docs/decisions/0001), and only unlocking one of them lifts the fence:
// so they are borrowed back with pidfd_getfd(2). Needs root. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/error.h"
#include "gate/fence.h"

namespace drover::gate {

struct FencedFile {
  std::string target;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
};

// Every read-only descriptor of these files, in any process, that holds a read lock on kFenceByte.
// QEMU's own locks are not among them: it opens what it may write for writing. Empty where there is
// none: nothing is fenced.
Result<Fence> borrow_fence(std::span<const FencedFile> files);

}  // namespace drover::gate
