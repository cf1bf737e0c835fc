// SPDX-License-Identifier: Apache-2.0
// The copy of an image that nobody writes into another file that was made for it (disk_image.h).
// ImageCopy: what the guest sees, by qemu-img, and what is a hole or zero takes no room there; it
// ends with the thread that began it, so with droverd. copy_whole: every byte of the file, so with
// all that an image has beside what its guest sees (snapshots, bitmaps, what it is built on). One
// thread.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/byte_count.h"
#include "base/error.h"
#include "base/unique_fd.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/program.h"

namespace drover {

struct ImageCopyCall {
  std::string from;
  FileIdentity from_identity;
  std::string to;
  FileIdentity to_identity;
  std::string from_format, to_format;
  BytesPerSecond bandwidth;  // 0: no limit
  // Of block devices, whichever they are: so many of their bytes are the disk, raw. What the one
  // written to held before is overwritten, with zeroes too.
  std::optional<ByteCount> from_volume = {}, to_volume = {};
};

class ImageCopy {
 public:
  // kConflict: one of the files is not the one meant.
  static Result<ImageCopy> start(const ImageCopyCall& call);
  ImageCopy(ImageCopy&&) = default;

  bool ended() { return program_.ended(); }
  // What the copy occupies so far.
  ByteCount written() const;
  // REQUIRES: it has ended. After success the copy is on stable storage.
  Status result();

 private:
  ImageCopy(RunningProgram program, UniqueFd to, std::string path)
      : program_(std::move(program)), to_(std::move(to)), path_(std::move(path)) {}
  RunningProgram program_;
  UniqueFd to_;
  std::string path_;
};

struct WholeCopyCall {
  std::string from;
  FileIdentity from_identity;
  std::string to;  // an empty file
  FileIdentity to_identity;
  BytesPerSecond bandwidth;  // 0: no limit
  // Asked often, with the bytes that were copied so far, holes left out; false ends it.
  std::function<bool(ByteCount)> go_on;
};

// Holes stay holes. After success the copy is on stable storage. kConflict: one of the files is not
// the one meant, or became shorter; kCancelled: go_on said so.
Status copy_whole(const WholeCopyCall& call);

}  // namespace drover
