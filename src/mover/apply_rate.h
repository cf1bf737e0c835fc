// SPDX-License-Identifier: Apache-2.0
// How much may be in flight: what the receiver applies in a round trip and kApplySpan more
// (docs/mover_protocol.md, "Acknowledgement, windows, order"). No lock: the session's mutex guards
// it.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>

namespace drover::mover {

class ApplyRate {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit ApplyRate(std::uint64_t window_bytes) : window_bytes_(window_bytes) {}

  void acknowledged(std::uint64_t bytes, Time now);
  // A sender had bytes and was not allowed to take them: this period shows the receiver's rate, not
  // the sender's.
  void held_back() { held_back_ = true; }
  void round_trip(std::chrono::nanoseconds span);
  // Between kWindowMin and the window; the window itself while nothing is known.
  std::uint64_t limit_bytes() const { return limit_bytes_.value_or(window_bytes_); }

 private:
  static constexpr std::chrono::milliseconds kPeriod{50};
  void close_period(double seconds);

  const std::uint64_t window_bytes_;
  Time period_start_{};
  std::uint64_t period_bytes_ = 0;
  bool held_back_ = false;
  // The best of the last periods counts: a receiver that pauses for a moment shall not shrink the
  // window.
  std::array<double, 8> bytes_per_second_{};
  std::size_t next_sample_ = 0;
  // Of the last PINGs; the least is the road without its queues.
  std::array<std::chrono::nanoseconds, 8> round_trips_{};
  std::size_t next_round_trip_ = 0;
  std::optional<std::uint64_t> limit_bytes_;
};

}  // namespace drover::mover
