// SPDX-License-Identifier: Apache-2.0
// A limit on the bytes that go out in a second (docs/mover_protocol.md, "Rate"): a bucket of tokens
// that may run into debt, so that a frame is never cut for it. No lock: the session's mutex guards
// it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace drover::mover {

class RateLimit {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // 0: no limit. What was sent before counts no more.
  void set(std::uint64_t bytes_per_second, Time now);
  std::uint64_t bytes_per_second() const { return bytes_per_second_; }
  // These bytes go out now.
  void charge(std::uint64_t bytes, Time now);
  // From when on more may go out; nothing: now.
  std::optional<Time> wait_until(Time now);

 private:
  void refill(Time now);

  std::uint64_t bytes_per_second_ = 0;
  double tokens_ = 0;  // bytes; below zero: sent ahead of the limit
  Time refilled_at_{};
};

}  // namespace drover::mover
