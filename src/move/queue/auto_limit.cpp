// SPDX-License-Identifier: Apache-2.0
#include "move/queue/auto_limit.h"

namespace drover::move {
namespace {

double rate_of(const AutoLimit::Look& first, const AutoLimit::Look& last, AutoLimit::Time since,
               AutoLimit::Time now) {
  const double seconds = std::chrono::duration<double>(now - since).count();
  if (seconds <= 0 || last.carried_bytes < first.carried_bytes) return 0;  // a device went away
  return static_cast<double>(last.carried_bytes - first.carried_bytes) / seconds;
}

// The kernel's counters of idle time and of waiting for disks go backwards now and then (proc(5)).
std::uint64_t grown(std::uint64_t first, std::uint64_t last) {
  return last > first ? last - first : 0;
}

unsigned idle_percent(const AutoLimit::Look& first, const AutoLimit::Look& last) {
  const std::uint64_t idle = grown(first.idle_ticks, last.idle_ticks);
  const std::uint64_t all = idle + grown(first.busy_ticks, last.busy_ticks);
  return all == 0 ? 100 : static_cast<unsigned>(idle * 100 / all);
}

// n moves share what one less had: half of a fair part more, or the road was full before.
bool was_of_use(double before, double after, unsigned moves) {
  return after >= before * (1 + 0.5 / moves);
}

}  // namespace

void AutoLimit::begin_step(Time now, const Look& look) {
  since_ = now;
  first_ = look;
}

void AutoLimit::look(Time now, std::size_t under_way, const Look& look) {
  if (under_way == 0) {
    *this = AutoLimit{};
    return;
  }
  if (under_way < allowed_) {
    since_.reset();
    return;
  }
  if (!since_) return begin_step(now, look);
  if (now - *since_ < kStep) return;
  const double rate = rate_of(first_, look, *since_, now);
  const unsigned idle = idle_percent(first_, look);
  begin_step(now, look);
  if (rate_before_ > 0 && !was_of_use(rate_before_, rate, allowed_)) {
    --allowed_;
    rate_before_ = 0;
    not_before_ = now + kPause;
    return;
  }
  rate_before_ = 0;
  if (idle < kIdlePercent || rate <= 0 || now < not_before_ || allowed_ == kMost) return;
  rate_before_ = rate;
  ++allowed_;
  since_.reset();  // until the one more is there
}

}  // namespace drover::move
