// SPDX-License-Identifier: Apache-2.0
// How many moves a host works on at once where its limit is `auto` (docs/queue.md): one more as
// long as processors are idle and the last one more made the whole faster. Pure: clock and load are
// handed in. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace drover::move {

class AutoLimit {
 public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr unsigned kMost = 16;
  static constexpr std::chrono::seconds kStep{6};    // so long a number of moves is looked at
  static constexpr std::chrono::seconds kPause{60};  // after one more that was of no use
  static constexpr unsigned kIdlePercent = 25;       // of all processors, at least, for one more

  // Counters since the host began, as HostLoad has them; one that went backwards grew by nothing.
  struct Look {
    std::uint64_t busy_ticks = 0;
    std::uint64_t idle_ticks = 0;
    std::uint64_t carried_bytes = 0;  // by what the moves carry: the network, or disks
  };
  void look(Time now, std::size_t under_way, const Look& look);
  // From 1 to kMost.
  unsigned allowed() const { return allowed_; }

 private:
  void begin_step(Time now, const Look& look);

  unsigned allowed_ = 1;
  std::optional<Time> since_;  // of this step; nothing: not all that are allowed are there
  Look first_;                 // of this step
  Time not_before_{};          // no further move
  double rate_before_ = 0;     // bytes a second, before the last one more; 0: it was kept
};

}  // namespace drover::move
