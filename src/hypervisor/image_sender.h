// SPDX-License-Identifier: Apache-2.0
// One image that nobody writes, written into an NBD export of the same size: qemu-img does it, as a
// QEMU writes a disk that it mirrors; what is a hole or zero is not written where the export is new
// and empty.
// Ends with the thread that began it, so with droverd. One thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/error.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/program.h"

namespace drover {

struct ImageSendCall {
  std::string path;
  FileIdentity identity;
  std::string format;            // never probed
  std::filesystem::path socket;  // where the export is reached
  std::string name;              // of the export
  // Of a block device, whichever it is: so many of its bytes are the disk. `format` is raw.
  std::optional<ByteCount> volume = {};
  enum class Export { kIsZero, kHoldsAnything };
  Export there = Export::kIsZero;  // anything: zeroes are written, too
};

class ImageSender {
 public:
  // kConflict: `path` is another file by now.
  static Result<ImageSender> start(const ImageSendCall& call);
  ImageSender(ImageSender&&) = default;

  bool ended() { return program_.ended(); }
  // REQUIRES: it has ended. After success the other side has flushed what it wrote.
  Status result() const { return program_.result(); }

 private:
  explicit ImageSender(RunningProgram program) : program_(std::move(program)) {}
  RunningProgram program_;
};

}  // namespace drover
