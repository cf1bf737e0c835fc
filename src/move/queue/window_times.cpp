// SPDX-License-Identifier: Apache-2.0
#include "move/queue/window_times.h"

#include <algorithm>
#include <ctime>

#include <fmt/core.h>

namespace drover::move {
namespace {

using namespace std::chrono_literals;
using Time = std::chrono::system_clock::time_point;

// A switch that has begun takes well below this (facts 1.2): so long before the window closes no
// more memory goes out.
constexpr std::chrono::seconds kCloseMargin{10};

std::tm local(Time time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  return parts;
}

// That time of day, `days` after the day of `day`.
Time on_day(std::tm day, int days, std::chrono::minutes time_of_day) {
  day.tm_mday += days;
  day.tm_hour = static_cast<int>(time_of_day.count() / 60);
  day.tm_min = static_cast<int>(time_of_day.count() % 60);
  day.tm_sec = 0;
  day.tm_isdst = -1;
  return std::chrono::system_clock::from_time_t(std::mktime(&day));
}

}  // namespace

WindowTimes window_at(const DailyWindow& window, Time now) {
  const std::tm today = local(now);
  const int over_midnight = window.closes <= window.opens ? 1 : 0;
  for (int day = -1;; ++day) {
    const WindowTimes times{on_day(today, day, window.opens),
                            on_day(today, day + over_midnight, window.closes)};
    // A window that lies in an hour which the day does not have may be empty.
    if (times.closes > now && times.closes > times.opens) return times;
    if (day > 7) return times;
  }
}

Time last_moment(const WindowTimes& window) {
  const auto length =
      std::chrono::duration_cast<std::chrono::seconds>(window.closes - window.opens);
  return window.closes - std::min(kCloseMargin, length / 6);
}

bool fits_window(const WindowTimes& window, Time now, std::chrono::seconds takes, bool begun) {
  const std::chrono::seconds length =
      std::chrono::duration_cast<std::chrono::seconds>(window.closes - window.opens);
  const Time last = last_moment(window);
  if (now < window.opens || now >= last) return false;
  if (begun || now + takes <= last) return true;
  // It fits no better another day.
  return now < window.opens + length / 4;
}

std::string local_time_text(Time time) {
  const std::tm parts = local(time);
  return fmt::format("{:02}:{:02} on {:04}-{:02}-{:02}", parts.tm_hour, parts.tm_min,
                     parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

}  // namespace drover::move
