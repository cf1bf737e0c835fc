// SPDX-License-Identifier: Apache-2.0
#include "content/disk_index.h"

#include <algorithm>

#include "base/big_endian.h"

namespace drover::content {
namespace {

constexpr std::size_t kWays = 8;  // a bucket is one cache line
constexpr unsigned kPlaceBits = 40;
constexpr std::uint64_t kPlaceMask = (std::uint64_t{1} << kPlaceBits) - 1;
constexpr unsigned kBlockBits = 33;

// Never 0: an empty entry is.
std::uint64_t place_of(const DiskBlock& at) {
  return (std::uint64_t{at.disk} << kBlockBits | at.block) + 1;
}

DiskBlock block_at(std::uint64_t entry) {
  const std::uint64_t place = (entry & kPlaceMask) - 1;
  return {static_cast<std::uint8_t>(place >> kBlockBits),
          place & ((std::uint64_t{1} << kBlockBits) - 1)};
}

// Spread evenly, whatever places are asked for: files begin at block 0, all of them.
std::uint64_t mixed(std::uint64_t place) {
  place *= 0x9e3779b97f4a7c15;
  place ^= place >> 32;
  return place * 0xd6e8feb86659fd93 >> 16;
}

// Of other bits than its bucket.
std::uint64_t tag_of(const Name& name) {
  return load_be<std::uint64_t>(name.data() + 8) & ~kPlaceMask;
}

}  // namespace

DiskIndex::DiskIndex(std::size_t bytes_max)
    : entries_(std::clamp<std::size_t>(bytes_max / (sizeof(Entry) + sizeof(Pointer)) / kWays, 1,
                                       std::size_t{1} << 28) *
               kWays),
      by_name_(zeroed<Entry>(entries_)),
      by_place_(zeroed<Pointer>(entries_)) {}

DiskIndex::Entry* DiskIndex::bucket(const Name& name) const {
  return &by_name_[load_be<std::uint64_t>(name.data()) % (entries_ / kWays) * kWays];
}

DiskIndex::Pointer* DiskIndex::bucket(std::uint64_t place) const {
  return &by_place_[mixed(place) % (entries_ / kWays) * kWays];
}

// Each entry in use has one pointer, in its place's bucket: so none can outlive its block.
DiskIndex::Pointer* DiskIndex::pointer_to(std::uint64_t place) const {
  Pointer* const ways = bucket(place);
  Pointer* const found = std::find_if(ways, ways + kWays, [&](Pointer pointer) {
    return pointer != 0 && (by_name_[pointer - 1] & kPlaceMask) == place;
  });
  return found == ways + kWays ? nullptr : found;
}

// In the place of the oldest one, if there is no other.
void DiskIndex::add_pointer(std::uint64_t place, const Entry& entry) {
  Pointer* const ways = bucket(place);
  Pointer* free = std::find(ways, ways + kWays - 1, 0);
  clear(*free);
  std::move_backward(ways, free, free + 1);
  *ways = static_cast<Pointer>(&entry - by_name_.get() + 1);
}

void DiskIndex::clear(Pointer& pointer) {
  if (pointer != 0) by_name_[pointer - 1] = 0;
  pointer = 0;
}

void DiskIndex::put(const DiskBlock& at, const Name& name) {
  if (at.block > kBlockMax) return;
  const std::uint64_t place = place_of(at);
  if (Pointer* former = pointer_to(place)) clear(*former);
  Entry* const ways = bucket(name);
  Entry* free = nullptr;
  for (Entry* entry = ways; entry != ways + kWays; ++entry) {
    if (*entry == 0) {
      if (free == nullptr) free = entry;
    } else if ((*entry & ~kPlaceMask) == tag_of(name)) {
      return;  // one block of each content is enough, and the many copies of one would fill it
    }
  }
  if (free == nullptr) {
    free = ways + next_victim_++ % kWays;
    clear(*pointer_to(*free & kPlaceMask));
  }
  add_pointer(place, *free);
  *free = tag_of(name) | place;
}

std::optional<DiskBlock> DiskIndex::find(const Name& name) const {
  const Entry* const ways = bucket(name);
  const Entry* found = std::find_if(ways, ways + kWays, [&](Entry entry) {
    return entry != 0 && (entry & ~kPlaceMask) == tag_of(name);
  });
  if (found == ways + kWays) return {};
  return block_at(*found);
}

void DiskIndex::forget(const DiskBlock& at) {
  if (at.block > kBlockMax) return;
  if (Pointer* pointer = pointer_to(place_of(at))) clear(*pointer);
}

void DiskIndex::forget_range(std::uint8_t disk, std::uint64_t first, std::uint64_t end) {
  if (end - first <= entries_) {
    for (std::uint64_t block = first; block < end; ++block) forget({disk, block});
    return;
  }
  for (Entry* entry = by_name_.get(); entry != by_name_.get() + entries_; ++entry) {
    if (*entry == 0) continue;
    const DiskBlock at = block_at(*entry);
    if (at.disk == disk && at.block >= first && at.block < end) forget(at);
  }
}

}  // namespace drover::content
