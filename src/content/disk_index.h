// SPDX-License-Identifier: Apache-2.0
// Which content lies where on the destination's disks: written, answered, and not replaced; or in
// files that it holds already.
// Bounded: of more blocks than fit, the older ones are forgotten. A hint only (a name is held by 24
// of its bits beyond its place): whoever reads the block compares the whole name. One thread at a
// time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>

#include "content/ops.h"

namespace drover::content {

struct DiskBlock {
  std::uint8_t disk = 0;    // below kDiskNumbersMax
  std::uint64_t block = 0;  // offset / kBlockBytes

  bool operator==(const DiskBlock&) const = default;
};

class DiskIndex {
 public:
  // Blocks further on than this (32 TiB) are not indexed.
  static constexpr std::uint64_t kBlockMax = (std::uint64_t{1} << 33) - 2;

  explicit DiskIndex(std::size_t bytes_max);

  // The block holds this content from now on.
  void put(const DiskBlock& at, const Name& name);
  std::optional<DiskBlock> find(const Name& name) const;
  void forget(const DiskBlock& at);
  // Blocks [first, end).
  void forget_range(std::uint8_t disk, std::uint64_t first, std::uint64_t end);

 private:
  // 40 bits of place plus one in the low bits, 24 of the name in the high ones; 0: empty.
  using Entry = std::uint64_t;
  struct Free {
    void operator()(void* bytes) const { std::free(bytes); }
  };
  std::size_t bucket(const Name& name) const;
  std::size_t slot(std::uint64_t place) const { return place % entries_; }
  Entry* holder(std::uint64_t place) const;

  std::size_t entries_;
  std::size_t next_victim_ = 0;
  std::unique_ptr<Entry[], Free> by_name_;  // buckets of kWays
  std::unique_ptr<std::uint32_t[], Free>
      by_place_;  // entry that holds a block of that slot, plus 1
};

}  // namespace drover::content
