// SPDX-License-Identifier: Apache-2.0
#include "content/disk_index.h"

#include <algorithm>

#include "base/big_endian.h"
#include "base/error.h"

namespace drover::content {
namespace {

constexpr std::size_t kWays = 8;  // a bucket is one cache line
constexpr unsigned kPlaceBits = 40;
constexpr std::uint64_t kPlaceMask = (std::uint64_t{1} << kPlaceBits) - 1;
constexpr unsigned kBlockBits = 33;

template <typename T>
T* zeroed(std::size_t count) {
  auto* made = static_cast<T*>(std::calloc(count, sizeof(T)));
  DROVER_CHECK(made != nullptr);
  return made;
}

// Never 0: an empty entry is.
std::uint64_t place_of(const DiskBlock& at) {
  return (std::uint64_t{at.disk} << kBlockBits | at.block) + 1;
}

DiskBlock block_at(std::uint64_t entry) {
  const std::uint64_t place = (entry & kPlaceMask) - 1;
  return {static_cast<std::uint8_t>(place >> kBlockBits),
          place & ((std::uint64_t{1} << kBlockBits) - 1)};
}

// Of other bits than its bucket.
std::uint64_t tag_of(const Name& name) {
  return load_be<std::uint64_t>(name.data() + 8) & ~kPlaceMask;
}

}  // namespace

DiskIndex::DiskIndex(std::size_t bytes_max)
    : entries_(std::clamp<std::size_t>(bytes_max / (sizeof(Entry) + sizeof(std::uint32_t)) / kWays,
                                       1, std::size_t{1} << 28) *
               kWays),
      by_name_(zeroed<Entry>(entries_)),
      by_place_(zeroed<std::uint32_t>(entries_)) {}

std::size_t DiskIndex::bucket(const Name& name) const {
  return load_be<std::uint64_t>(name.data()) % (entries_ / kWays) * kWays;
}

// Each entry in use is the one that its slot names, so no entry can outlive its block: the slot
// finds it.
DiskIndex::Entry* DiskIndex::holder(std::uint64_t place) const {
  const std::uint32_t held = by_place_[slot(place)];
  if (held == 0) return nullptr;
  Entry& entry = by_name_[held - 1];
  const std::uint64_t there = entry & kPlaceMask;
  return there != 0 && slot(there) == slot(place) ? &entry : nullptr;
}

void DiskIndex::put(const DiskBlock& at, const Name& name) {
  if (at.block > kBlockMax) return;
  const std::uint64_t place = place_of(at);
  if (Entry* former = holder(place)) *former = 0;
  Entry* const ways = &by_name_[bucket(name)];
  Entry* free = nullptr;
  for (Entry* entry = ways; entry != ways + kWays; ++entry) {
    if (*entry == 0) {
      if (free == nullptr) free = entry;
    } else if ((*entry & ~kPlaceMask) == tag_of(name)) {
      return;  // one block of each content is enough, and the many copies of one would fill it
    }
  }
  if (free == nullptr) free = ways + next_victim_++ % kWays;
  *free = tag_of(name) | place;
  by_place_[slot(place)] = static_cast<std::uint32_t>(free - by_name_.get() + 1);
}

std::optional<DiskBlock> DiskIndex::find(const Name& name) const {
  const Entry* const ways = &by_name_[bucket(name)];
  const Entry* found = std::find_if(ways, ways + kWays, [&](Entry entry) {
    return entry != 0 && (entry & ~kPlaceMask) == tag_of(name);
  });
  if (found == ways + kWays) return {};
  return block_at(*found);
}

void DiskIndex::forget(const DiskBlock& at) {
  if (at.block > kBlockMax) return;
  Entry* entry = holder(place_of(at));
  if (entry != nullptr && (*entry & kPlaceMask) == place_of(at)) *entry = 0;
}

void DiskIndex::forget_range(std::uint8_t disk, std::uint64_t first, std::uint64_t end) {
  if (end - first <= entries_) {
    for (std::uint64_t block = first; block < end; ++block) forget({disk, block});
    return;
  }
  for (Entry* entry = by_name_.get(); entry != by_name_.get() + entries_; ++entry) {
    if (*entry == 0) continue;
    const DiskBlock at = block_at(*entry);
    if (at.disk == disk && at.block >= first && at.block < end) *entry = 0;
  }
}

}  // namespace drover::content
