// SPDX-License-Identifier: Apache-2.0
// An image, with all that it is based on, written into a new image by a qemu-img of its own, at the
// caller's priority: it ends with the calling thread, so with droverd. Holes and zeros take no
// room. One thread.
#pragma once

#include <functional>
#include <string>

#include "base/byte_count.h"
#include "base/error.h"

namespace drover::archive {

struct ConvertCall {
  std::string from;  // a path
  std::string from_format;
  std::string to_format;   // "raw", "qcow2"
  ByteCount virtual_size;  // of both
  ByteCount cluster_size;  // of a qcow2; 0: as qemu-img has it
  BytesPerSecond bandwidth;
};

// `to`: an empty file, which on success is the image, on stable storage. `watch` is told again and
// again what the file occupies; an error of it ends the work.
Status convert_image(const ConvertCall& call, int to,
                     const std::function<Status(ByteCount written)>& watch);

}  // namespace drover::archive
