// SPDX-License-Identifier: Apache-2.0
#include "mover/rate_limit.h"

#include <algorithm>

#include "mover/limits.h"

namespace drover::mover {

void RateLimit::set(std::uint64_t bytes_per_second, Time now) {
  bytes_per_second_ = bytes_per_second;
  tokens_ = 0;
  refilled_at_ = now;
}

void RateLimit::refill(Time now) {
  const double rate = static_cast<double>(bytes_per_second_);
  const double seconds = std::chrono::duration<double>(now - refilled_at_).count();
  const double most = rate * std::chrono::duration<double>(kRateBurst).count();
  tokens_ = std::min(most, tokens_ + rate * seconds);
  refilled_at_ = now;
}

void RateLimit::charge(std::uint64_t bytes, Time now) {
  if (bytes_per_second_ == 0) return;
  refill(now);
  tokens_ -= static_cast<double>(bytes);
}

std::optional<RateLimit::Time> RateLimit::wait_until(Time now) {
  if (bytes_per_second_ == 0) return {};
  refill(now);
  if (tokens_ >= 0) return {};
  const std::chrono::duration<double> seconds(-tokens_ / static_cast<double>(bytes_per_second_));
  return now + std::chrono::duration_cast<Time::duration>(seconds) + std::chrono::microseconds(1);
}

}  // namespace drover::mover
