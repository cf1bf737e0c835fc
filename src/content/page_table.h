// SPDX-License-Identifier: Apache-2.0
// What each page of the guest held when it was last sent, so that an unchanged one need not be sent
// again. Bounded: a guest with more pages than entries shares them, and the last page sent keeps
// the entry. So a large guest's pages are found again as far as the table reaches in the first
// resend, and all of its hot ones after that. Memory is taken as it fills. One thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "content/ops.h"
#include "content/zeroed.h"

namespace drover::content {

class PageTable {
 public:
  // Room for `pages` pages, or as many as fit; takes a little for marking what was ever sent.
  PageTable(std::uint64_t pages, std::size_t bytes_max);

  // REQUIRES: index < pages.
  bool holds(std::uint64_t index, const Name& name) const;
  void put(std::uint64_t index, const Name& name);
  void forget(std::uint64_t index);
  // Marks the page as sent; true if it was before (or, of a guest beyond 256 GiB, another was).
  bool mark_sent(std::uint64_t index);

  std::uint64_t entries() const { return entries_; }

 private:
  // The name, mixed with which of the pages that share the entry has it.
  Name tag(std::uint64_t index, Name name) const;

  std::uint64_t marks_;    // a bit each
  std::uint64_t entries_;  // a name each
  Zeroed<std::uint8_t> mark_bits_;
  Zeroed<Name> tags_;
};

}  // namespace drover::content
