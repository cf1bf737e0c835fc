// SPDX-License-Identifier: Apache-2.0
// The fence of a VM none of whose disks is copied: a small image in memory that the VM's own QEMU
// opens beside its disks and no guest sees. QEMU must take it back before it can resume the guest,
// as it must each disk, so that a lock on it fences (docs/decisions/0004). Any thread.
#pragma once

#include "base/error.h"
#include "base/unique_fd.h"
#include "hypervisor/disk_image.h"

namespace drover {

struct FenceImage {
  UniqueFd for_qemu;  // open for reading and writing: Hypervisor::hold_image
  UniqueFd for_lock;  // a description of its own, open for reading
  FileIdentity identity;
};

// It has no name, and is gone with its last descriptor.
Result<FenceImage> make_fence_image();

}  // namespace drover
