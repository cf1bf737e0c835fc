// SPDX-License-Identifier: Apache-2.0
// A disk of a picture (hypervisor/disk_pictures.h) written into a new image that is complete in
// itself. It is read, hashed and written at once, by several threads with a connection each: where
// everything will lie in the image is known from what the server says has data. The server is
// trusted with the disk, and with nothing else. One thread.
#pragma once

#include <string>

#include "archive/file_copy.h"
#include "base/byte_count.h"
#include "base/error.h"

namespace drover::archive {

struct PictureCopyCall {
  std::string socket;  // of the NBD server
  std::string name;    // of the export
  std::string format;  // of the image: "raw", "qcow2"
  ByteCount virtual_size;
  ByteCount cluster_size;  // of a qcow2; 0: as qemu-img has it
};

// `to`: an empty file, which on success is the image, on stable storage. kConflict: the disk has
// another size; kUnavailable: the server is gone, or has no such export.
Result<HashedFile> copy_picture(const PictureCopyCall& call, int to, const CopyWatch& watch);

}  // namespace drover::archive
