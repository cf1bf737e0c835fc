// SPDX-License-Identifier: Apache-2.0
// How long content is held back because the destination is still naming what it holds: what is sent
// before its name came is sent in vain. Pure; the session's mutex guards it.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "mover/limits.h"

namespace drover::mover {

class NamesWait {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Names will come.
  void expect() { expects_ = !over_; }
  // No more will.
  void end() { over_ = true; }
  // Whether to wait on, where `named` blocks are known by now, and the links carry so many a second
  // (0: not known). Once it says no it always does: the wait is once a move, and short.
  bool goes_on(Time now, std::uint64_t named, double carried) {
    if (!expects_ || over_) return false;
    if (!began_) {
      began_ = true;
      give_up_at_ = now + kNamesPatience;
      judge(now, named);
    }
    if (now >= judge_at_) {
      const double instead = carried * std::chrono::duration<double>(kNamesInterval).count();
      const double least = carried > 0 ? std::min(instead, kNamesMost) : kNamesMost;
      over_ = static_cast<double>(named - named_then_) < least;
      judge(now, named);
    }
    over_ = over_ || now >= give_up_at_;
    return !over_;
  }

 private:
  void judge(Time now, std::uint64_t named) {
    judge_at_ = now + kNamesInterval;
    named_then_ = named;
  }

  bool expects_ = false;
  bool began_ = false;
  bool over_ = false;
  Time give_up_at_{};
  Time judge_at_{};
  std::uint64_t named_then_ = 0;
};

}  // namespace drover::mover
