// SPDX-License-Identifier: Apache-2.0
// The sender's picture of the receiver's page cache (page_cache.h): names of the last pages that
// went as bytes, in the same order. A name that lost its place in the index is only not found. One
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "content/ops.h"

namespace drover::content {

class PageRing {
 public:
  explicit PageRing(std::size_t cache_bytes);

  void put(const Name& name);
  // The reference's age, from 1; 0: the cache has it not.
  std::uint64_t find(const Name& name) const;

 private:
  std::size_t place(const Name& name) const;

  std::uint64_t put_count_ = 0;
  std::vector<Name> names_;           // of slot: count % slots
  std::vector<std::uint64_t> index_;  // by name: the count after it was put; 0 none
};

}  // namespace drover::content
