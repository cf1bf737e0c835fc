// SPDX-License-Identifier: Apache-2.0
#include "content/page_cache.h"

#include <cstring>

#include "base/error.h"

namespace drover::content {

PageCache::PageCache(std::size_t bytes_max)
    : slots_(bytes_max / kBlockBytes), bytes_(zeroed<std::uint8_t>((slots_ + 1) * kBlockBytes)) {}

void PageCache::put(std::span<const std::uint8_t> page) {
  DROVER_CHECK(page.size() == kBlockBytes);
  if (slots_ == 0) return;
  std::memcpy(bytes_.get() + put_count_ % slots_ * kBlockBytes, page.data(), kBlockBytes);
  ++put_count_;
}

const std::uint8_t* PageCache::find(std::uint64_t age) const {
  if (age == 0 || age > slots_ || age > put_count_) return nullptr;
  return bytes_.get() + (put_count_ - age) % slots_ * kBlockBytes;
}

}  // namespace drover::content
