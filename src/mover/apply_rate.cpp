// SPDX-License-Identifier: Apache-2.0
#include "mover/apply_rate.h"

#include <algorithm>

#include "mover/limits.h"

namespace drover::mover {

void ApplyRate::acknowledged(std::uint64_t bytes, Time now) {
  if (period_bytes_ == 0 && bytes > 0 && now - period_start_ > 2 * kPeriod) {
    // First bytes after silence or a break: the silence is no measure of the receiver.
    period_start_ = now;
    period_bytes_ = bytes;
    return;
  }
  period_bytes_ += bytes;
  if (now - period_start_ < kPeriod) return;
  close_period(std::chrono::duration<double>(now - period_start_).count());
  period_start_ = now;
  period_bytes_ = 0;
  held_back_ = false;
}

void ApplyRate::close_period(double seconds) {
  const double rate = static_cast<double>(period_bytes_) / seconds;
  const double best = *std::ranges::max_element(bytes_per_second_);
  if (!held_back_ && rate <= best) return;
  // Nothing known and not held back: the sender's rate is a lower bound only, and says nothing yet.
  if (!held_back_ && !limit_bytes_) return;
  bytes_per_second_[next_sample_++ % bytes_per_second_.size()] = rate;
  std::chrono::nanoseconds round_trip{0};
  for (const auto span : round_trips_) {
    if (span.count() > 0 && (round_trip.count() == 0 || span < round_trip)) round_trip = span;
  }
  const double span_seconds = std::chrono::duration<double>(round_trip + kApplySpan).count();
  const double bytes = *std::ranges::max_element(bytes_per_second_) * span_seconds;
  limit_bytes_ =
      std::clamp<std::uint64_t>(static_cast<std::uint64_t>(std::min(bytes, 1e12)), kWindowMin,
                                std::max<std::uint64_t>(window_bytes_, kWindowMin));
}

void ApplyRate::round_trip(std::chrono::nanoseconds span) {
  round_trips_[next_round_trip_++ % round_trips_.size()] =
      std::max(span, std::chrono::nanoseconds(1));
}

}  // namespace drover::mover
