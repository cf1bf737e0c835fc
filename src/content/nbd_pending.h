// SPDX-License-Identifier: Apache-2.0
// The requests of an NBD stream that have no answer yet, with what their watcher knows of each: an
// Entry has a member `request`. As safe as its caller makes it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "content/nbd_requests.h"

namespace drover::content {

// QEMU has 16 at most.
inline constexpr std::size_t kNbdRequestsMax = 1024;
// Offsets beyond it could overflow; no disk is as large.
inline constexpr std::uint64_t kNbdDiskBytesMax = std::uint64_t{1} << 62;

template <typename Entry>
class NbdPending {
 public:
  // False: one that nobody can follow, too many, a cookie that is in use, a place beyond any disk.
  bool takes(const NbdRequest& request) {
    return entries_.size() < kNbdRequestsMax && find(request.cookie) == nullptr &&
           request.length <= kNbdDiskBytesMax && request.offset <= kNbdDiskBytesMax;
  }
  void add(Entry entry) { entries_.push_back(std::move(entry)); }

  // Null: there is none. Good until the next change.
  Entry* find(std::uint64_t cookie) {
    const auto found = std::ranges::find(entries_, cookie,
                                         [](const Entry& entry) { return entry.request.cookie; });
    return found == entries_.end() ? nullptr : &*found;
  }
  void erase(const Entry* entry) { entries_.erase(entries_.begin() + (entry - entries_.data())); }
  void clear() { entries_.clear(); }

  // As NbdReplyParser::Sink::data_bytes.
  std::uint64_t data_bytes(std::uint64_t cookie) {
    const Entry* found = find(cookie);
    const bool reads = found != nullptr && found->request.command == NbdCommand::kRead;
    return reads ? found->request.length : 0;
  }

  auto begin() { return entries_.begin(); }
  auto end() { return entries_.end(); }

 private:
  std::vector<Entry> entries_;
};

}  // namespace drover::content
