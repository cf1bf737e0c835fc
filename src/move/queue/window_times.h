// SPDX-License-Identifier: Apache-2.0
// When a daily window is open, by this host's local time. Pure but for the time zone, which the C
// library knows. Any thread.
#pragma once

#include <chrono>
#include <string>

#include "model/daily_window.h"

namespace drover::move {

struct WindowTimes {
  std::chrono::system_clock::time_point opens, closes;

  bool is_open(std::chrono::system_clock::time_point now) const {
    return now >= opens && now < closes;
  }
};

// The one that is open, or else the next. On a day on which the clocks change it is as long as the
// clocks on the wall say; a time that the day does not have is the one an hour later.
WindowTimes window_at(const DailyWindow& window, std::chrono::system_clock::time_point now);

// No memory goes out after it: 10 s before the window closes, a sixth of one of less than a minute.
std::chrono::system_clock::time_point last_moment(const WindowTimes& window);

// Whether the memory of a guest may be copied in that window from `now` on, so that it is switched
// before the window closes. `takes`: how long the copy is thought to take; one that is longer than
// any window begins when the window opens. `begun`: it goes on already.
bool fits_window(const WindowTimes& window, std::chrono::system_clock::time_point now,
                 std::chrono::seconds takes, bool begun);

// "02:00 on 2026-11-22", local.
std::string local_time_text(std::chrono::system_clock::time_point time);

}  // namespace drover::move
