// SPDX-License-Identifier: Apache-2.0
// Which content lies where on the destination's disks: written, answered, and not replaced; or in
// files that it holds already.
// Bounded: of more blocks than fit, the older ones are forgotten. A hint only (a name is held by 24
// of its bits beyond its place): whoever reads the block compares the whole name. One thread at a
// time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "content/ops.h"
#include "content/zeroed.h"

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
  // Number of an entry plus 1; 0: none.
  using Pointer = std::uint32_t;
  Entry* bucket(const Name& name) const;
  Pointer* bucket(std::uint64_t place) const;
  Pointer* pointer_to(std::uint64_t place) const;
  void add_pointer(std::uint64_t place, const Entry& entry);
  void clear(Pointer& pointer);

  std::size_t entries_;
  std::size_t next_victim_ = 0;
  // Both in buckets of kWays: by name, and by place the pointers to them, the newest first.
  Zeroed<Entry> by_name_;
  Zeroed<Pointer> by_place_;
};

}  // namespace drover::content
