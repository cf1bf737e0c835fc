// SPDX-License-Identifier: Apache-2.0
#include "content/page_ring.h"

#include <bit>

#include "base/big_endian.h"

namespace drover::content {
namespace {

// So sparse that few names share a place: about one in eight is lost.
constexpr std::size_t kPlacesPerSlot = 4;

}  // namespace

PageRing::PageRing(std::size_t cache_bytes)
    : names_(cache_bytes / kBlockBytes),
      index_(std::bit_ceil(names_.size() * kPlacesPerSlot + 1)) {}

std::size_t PageRing::place(const Name& name) const {
  return load_be<std::uint64_t>(name.data()) & (index_.size() - 1);
}

void PageRing::put(const Name& name) {
  if (names_.empty()) return;
  names_[put_count_ % names_.size()] = name;
  index_[place(name)] = ++put_count_;
}

std::uint64_t PageRing::find(const Name& name) const {
  const std::uint64_t count = index_[place(name)];
  if (count == 0 || put_count_ - count >= names_.size()) return 0;
  return names_[(count - 1) % names_.size()] == name ? put_count_ - count + 1 : 0;
}

}  // namespace drover::content
