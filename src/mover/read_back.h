// SPDX-License-Identifier: Apache-2.0
// Reads back what this move wrote to the destination's disks: from the images' files what is known
// to lie there, else through QEMU's NBD server, one connection per export, made when it is first
// wanted (docs/processes.md, "read-back"). An export that failed once is not tried again: every
// reference to it is a miss. Any thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/unique_fd.h"
#include "content/destination_content.h"
#include "mover/image_names.h"
#include "mover/nbd_reader.h"

namespace drover::mover {

// A socket that is connected to QEMU's NBD server; may block for some seconds.
using ReadBackOpener = std::function<Result<UniqueFd>()>;

class ReadBack : public content::DiskReader {
 public:
  // `images` may be null: no file can be read.
  explicit ReadBack(ReadBackOpener opener, std::unique_ptr<ImageNames> images = {})
      : opener_(std::move(opener)), images_(std::move(images)) {}

  Status read(const std::string& export_name, std::span<const std::uint64_t> offsets,
              std::span<std::uint8_t> out) override;
  bool reads_files() const override { return images_ != nullptr; }
  bool read_named(const content::Name& name,
                  std::span<std::uint8_t, content::kBlockBytes> out) override {
    return images_ != nullptr && images_->read(name, out);
  }

 private:
  const ReadBackOpener opener_;
  const std::unique_ptr<ImageNames> images_;
  // Guards all below, and is held while a disk is read: the one memory stream is the only user.
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<NbdReader>> readers_;  // null: failed
};

}  // namespace drover::mover
