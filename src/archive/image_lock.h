// SPDX-License-Identifier: Apache-2.0
// Whether a QEMU writes an image now. gate::Fence keeps any from opening it for writing later, and
// says nothing of one that has it open. Any thread.
#pragma once

#include <string>

#include "base/error.h"

namespace drover::archive {

// kConflict: some QEMU, qemu-img or qemu-nbd may write it. A file system that knows no locks has
// none to show. REQUIRES: the fence was taken before, else one could begin right after.
Status check_unwritten(int image, const std::string& path);

}  // namespace drover::archive
