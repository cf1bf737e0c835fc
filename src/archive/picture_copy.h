// SPDX-License-Identifier: Apache-2.0
// A disk of a picture (hypervisor/disk_pictures.h) written into a new image: one that is complete
// in itself, or one that has what the disk's own image has, and is based on another. It is read,
// hashed and written at once, by several threads with a connection each: where everything will lie
// in the image is known from what the server says has data. The server is trusted with the disk,
// and with nothing else. One thread.
#pragma once

#include <optional>
#include <string>

#include "archive/file_copy.h"
#include "base/byte_count.h"
#include "base/error.h"

namespace drover::archive {

// What a new image is based on.
struct PictureBase {
  std::string file;    // its name, from the folder of the new image
  std::string format;  // "raw", "qcow2"
};

struct PictureCopyCall {
  std::string socket;  // of the NBD server
  std::string name;    // of the export
  std::string format;  // of the image: "raw", "qcow2"
  ByteCount virtual_size;
  ByteCount cluster_size;           // of a qcow2; 0: as qemu-img has it
  std::optional<PictureBase> base;  // only with a qcow2, and an export that tells layers apart
};

// `to`: an empty file, which on success is the image, on stable storage. kConflict: the disk has
// another size; kUnavailable: the server is gone, or has no such export.
Result<HashedFile> copy_picture(const PictureCopyCall& call, int to, const CopyWatch& watch);

}  // namespace drover::archive
