// SPDX-License-Identifier: Apache-2.0
// A point on the monotonic clock by which a wait must end. Values only.
#pragma once

#include <algorithm>
#include <chrono>

namespace drover {

class Deadline {
 public:
  using Clock = std::chrono::steady_clock;
  static Deadline after(std::chrono::milliseconds span) { return Deadline(Clock::now() + span); }
  static Deadline never() { return Deadline(Clock::time_point::max()); }

  bool expired() const { return Clock::now() >= at_; }
  bool is_never() const { return at_ == Clock::time_point::max(); }
  Clock::time_point at() const { return at_; }
  std::chrono::milliseconds left() const {
    if (is_never()) return std::chrono::milliseconds::max();
    return std::max(std::chrono::milliseconds(0),
                    std::chrono::ceil<std::chrono::milliseconds>(at_ - Clock::now()));
  }
  // For poll(2): -1 means no limit.
  int poll_ms() const {
    if (is_never()) return -1;
    return static_cast<int>(std::min<std::int64_t>(left().count(), 1'000'000'000));
  }

 private:
  explicit Deadline(Clock::time_point at) : at_(at) {}
  Clock::time_point at_;
};

}  // namespace drover
