// SPDX-License-Identifier: Apache-2.0
// How two hosts prove that they see the same disk image, not merely the same path: one of them
// marks the image by a lock at a place that nobody can guess, the other looks for it there. Nothing
// is written, and what is proven is also that the file system carries locks from host to host, on
// which QEMU's own image locks stand (docs/decisions/0004). Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"

namespace drover {

// Where the lock lies, in bytes of the file; far behind every image and QEMU's own lock bytes.
struct ImageMark {
  std::uint64_t start = 0;   // said to the other side
  std::uint64_t length = 0;  // said back by it, or told as well
  bool operator==(const ImageMark&) const = default;
};

// The mark lasts as long as this object.
class MarkedImage {
 public:
  // An error where the image cannot be opened for reading, or its file system knows no locks.
  static Result<MarkedImage> mark(const std::string& path);
  const ImageMark& where() const { return where_; }

 private:
  MarkedImage(UniqueFd file, ImageMark where) : file_(std::move(file)), where_(where) {}
  UniqueFd file_;
  ImageMark where_;
};

// The mark that begins at `start` of this file; nothing: none does. kPermission: not beneath an
// allowed folder, or a link stands in the way; kConflict: no file that holds bytes; kNotFound.
Result<std::optional<ImageMark>> find_mark(const std::string& path, std::uint64_t start,
                                           std::span<const std::string> allowed_folders);

}  // namespace drover
