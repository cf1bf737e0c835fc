// SPDX-License-Identifier: Apache-2.0
// The copy of an image that nobody writes into another that was made for it (disk_image.h):
// qemu-img does it, and what is a hole or zero takes no room there. Ends with the thread that began
// it, so with droverd. One thread.
#pragma once

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
  std::string format;        // of both
  BytesPerSecond bandwidth;  // 0: no limit
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

}  // namespace drover
