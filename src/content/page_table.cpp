// SPDX-License-Identifier: Apache-2.0
#include "content/page_table.h"

#include <algorithm>

#include "base/big_endian.h"

namespace drover::content {

PageTable::PageTable(std::uint64_t pages, std::size_t bytes_max)
    : marks_(std::clamp<std::uint64_t>(pages, 1, std::max<std::size_t>(bytes_max, 8))),
      entries_(std::clamp<std::uint64_t>(
          pages, 1,
          std::max<std::size_t>((bytes_max - std::min(bytes_max, marks_ / 8)) / sizeof(Name), 1))),
      mark_bits_(zeroed<std::uint8_t>(marks_ / 8 + 1)),
      tags_(zeroed<Name>(entries_)) {}

// Two pages that share an entry differ in the mixed-in number, so their tags differ for the same
// content, and by chance only for different content.
Name PageTable::tag(std::uint64_t index, Name name) const {
  const std::uint64_t sharer = index / entries_ + 1;
  store_be(name.data(), load_be<std::uint64_t>(name.data()) ^ sharer);
  return name;
}

bool PageTable::holds(std::uint64_t index, const Name& name) const {
  return tags_[index % entries_] == tag(index, name);
}

void PageTable::put(std::uint64_t index, const Name& name) {
  tags_[index % entries_] = tag(index, name);
}

void PageTable::forget(std::uint64_t index) { tags_[index % entries_] = Name{}; }

bool PageTable::mark_sent(std::uint64_t index) {
  const std::uint64_t mark = index % marks_;
  std::uint8_t& byte = mark_bits_[mark / 8];
  const auto bit = static_cast<std::uint8_t>(1u << mark % 8);
  const bool was = (byte & bit) != 0;
  byte |= bit;
  return was;
}

}  // namespace drover::content
