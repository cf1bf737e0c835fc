// SPDX-License-Identifier: Apache-2.0
// Whether one thread is as busy as a thread can be. No lock: the session's mutex guards it.
#pragma once

#include <chrono>

namespace drover::mover {

class WriterLoad {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kSpan{1000};
  static constexpr double kSaturated = 0.85;  // of a processor; the rest is other threads' turns

  // `used`: processor time of the thread so far.
  void sample(Clock::time_point now, std::chrono::nanoseconds used) {
    if (at_ != Clock::time_point{} && now - at_ < kSpan) return;
    saturated_ = at_ != Clock::time_point{} && used - used_ >= kSaturated * (now - at_);
    at_ = now;
    used_ = used;
  }
  // In its last whole span; one that ended long ago says nothing.
  bool saturated(Clock::time_point now) const { return saturated_ && now - at_ < 2 * kSpan; }

 private:
  Clock::time_point at_;
  std::chrono::nanoseconds used_{0};
  bool saturated_ = false;
};

}  // namespace drover::mover
