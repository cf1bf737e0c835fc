// SPDX-License-Identifier: Apache-2.0
#include "content/page_keeper.h"

#include <cerrno>

#include <unistd.h>

#include "content/disk_index.h"

namespace drover::content {

void PageKeeper::keep(std::uint64_t page, std::span<const std::uint8_t, kBlockBytes> content) {
  // Of what lies further on nothing is referred to.
  if (!file_ || page >= DiskIndex::kBlockMax) return;
  cipher_.apply(page, content, buffer_);
  ssize_t n = 0;
  do {
    n = ::pwrite(file_.get(), buffer_.data(), buffer_.size(),
                 static_cast<off_t>(page * kBlockBytes));
  } while (n < 0 && errno == EINTR);
  if (n != static_cast<ssize_t>(buffer_.size())) file_.reset();
}

}  // namespace drover::content
