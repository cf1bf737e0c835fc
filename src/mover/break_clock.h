// SPDX-License-Identifier: Apache-2.0
// How long a break may still last: docs/mover_protocol.md, "Breaks". Time is handed in. No lock.
#pragma once

#include <chrono>
#include <optional>

namespace drover::mover {

class BreakClock {
 public:
  using Time = std::chrono::steady_clock::time_point;

  BreakClock(std::chrono::milliseconds patience, std::chrono::milliseconds pause_budget, Time now)
      : patience_(patience), pause_budget_(pause_budget), broken_since_(now) {}

  void set_patience(std::chrono::milliseconds span) { patience_ = span; }
  void set_pause_budget(std::chrono::milliseconds span) { pause_budget_ = span; }

  void links_lost(Time now) {
    if (!broken_since_) broken_since_ = now;
  }
  void link_up() { broken_since_.reset(); }
  void standstill(Time now) {
    if (!standstill_since_) standstill_since_ = now;
  }
  bool is_standing_still() const { return standstill_since_.has_value(); }
  void finish_forwarded() { finish_forwarded_ = true; }
  bool is_finish_forwarded() const { return finish_forwarded_; }

  // When to give up; nothing: no break, or no giving up any more.
  std::optional<Time> give_up_at() const {
    if (!broken_since_ || finish_forwarded_) return {};
    if (!standstill_since_) return *broken_since_ + patience_;
    return std::max(*broken_since_, *standstill_since_) + pause_budget_;
  }

 private:
  std::chrono::milliseconds patience_;
  std::chrono::milliseconds pause_budget_;
  std::optional<Time> broken_since_;
  std::optional<Time> standstill_since_;
  bool finish_forwarded_ = false;
};

}  // namespace drover::mover
