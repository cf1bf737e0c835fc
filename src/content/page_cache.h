// SPDX-License-Identifier: Apache-2.0
// The receiver's bounded cache of guest pages: the last so many that came as bytes, oldest out
// first. The sender counts along (page_ring.h), so a reference is a distance from the newest page
// and neither side searches. Memory is taken as it fills. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "content/batch.h"
#include "content/zeroed.h"

namespace drover::content {

class PageCache {
 public:
  explicit PageCache(std::size_t bytes_max);

  void put(std::span<const std::uint8_t> page);
  // `age` 1 is the newest page. Null: never there, or gone.
  const std::uint8_t* find(std::uint64_t age) const;

 private:
  std::size_t slots_;
  std::uint64_t put_count_ = 0;
  Zeroed<std::uint8_t> bytes_;
};

}  // namespace drover::content
