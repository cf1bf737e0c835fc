// SPDX-License-Identifier: Apache-2.0
// RFC 3339 times.
#include <cstdint>
#include <optional>

#include <fmt/core.h>

#include "json/model_json.h"

namespace drover::json {
namespace {

using std::chrono::days;
using std::chrono::sys_days;

// A cursor over the text; every step fails softly.
struct Cursor {
  std::string_view rest;

  std::optional<int> digits(std::size_t count) {
    if (rest.size() < count) return {};
    int value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (rest[i] < '0' || rest[i] > '9') return {};
      value = value * 10 + (rest[i] - '0');
    }
    rest.remove_prefix(count);
    return value;
  }
  bool take(char c) {
    if (rest.empty() || rest.front() != c) return false;
    rest.remove_prefix(1);
    return true;
  }
  // Digits after the dot, as nanoseconds.
  std::optional<std::int64_t> fraction() {
    std::int64_t value = 0;
    int count = 0;
    while (!rest.empty() && rest.front() >= '0' && rest.front() <= '9') {
      if (count < 9) value = value * 10 + (rest.front() - '0');
      ++count;
      rest.remove_prefix(1);
    }
    if (count == 0) return {};
    for (int i = count; i < 9; ++i) value *= 10;
    return value;
  }
};

std::optional<std::chrono::minutes> offset_of(Cursor& at) {
  if (at.take('Z') || at.take('z')) return std::chrono::minutes(0);
  const bool east = at.take('+');
  if (!east && !at.take('-')) return {};
  const auto hours = at.digits(2);
  if (!hours || *hours > 23 || !at.take(':')) return {};
  const auto minutes = at.digits(2);
  if (!minutes || *minutes > 59) return {};
  const std::chrono::minutes span(*hours * 60 + *minutes);
  return east ? span : -span;
}

std::optional<Time> read_time(Cursor at) {
  const auto year = at.digits(4);
  if (!year || !at.take('-')) return {};
  const auto month = at.digits(2);
  if (!month || !at.take('-')) return {};
  const auto day = at.digits(2);
  if (!day || !(at.take('T') || at.take('t') || at.take(' '))) return {};
  const auto hour = at.digits(2);
  if (!hour || *hour > 23 || !at.take(':')) return {};
  const auto minute = at.digits(2);
  if (!minute || *minute > 59 || !at.take(':')) return {};
  const auto second = at.digits(2);
  if (!second || *second > 60) return {};  // 60: a leap second counts as the next one
  std::int64_t nanoseconds = 0;
  if (at.take('.')) {
    const auto fraction = at.fraction();
    if (!fraction) return {};
    nanoseconds = *fraction;
  }
  const auto offset = offset_of(at);
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  // Nanoseconds since 1970 in 64 bits end in 2262; stay within.
  if (!offset || !at.rest.empty() || !date.ok() || *year < 1700 || *year > 2200) return {};
  return Time(sys_days(date)) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second) + std::chrono::nanoseconds(nanoseconds) - *offset;
}

}  // namespace

std::string time_text(Time time) {
  const auto whole = std::chrono::floor<std::chrono::milliseconds>(time);
  const auto midnight = std::chrono::floor<days>(whole);
  const std::chrono::year_month_day date(midnight);
  const std::chrono::hh_mm_ss clock(whole - midnight);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

Result<Time> time_from_text(std::string_view text) {
  if (const auto time = read_time(Cursor{text})) return *time;
  return fail(ErrorCode::kInvalidArgument,
              "\"{}\" is not an RFC 3339 time between the years 1700 and 2200.",
              text.substr(0, 40));
}

}  // namespace drover::json
