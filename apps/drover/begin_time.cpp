// SPDX-License-Identifier: Apache-2.0
#include "begin_time.h"

#include <charconv>
#include <ctime>
#include <optional>
#include <string>

#include "json/model_json.h"

namespace drover::cli {
namespace {

using Time = std::chrono::system_clock::time_point;

constexpr std::int64_t kMinutesMost = 366 * 24 * 60;

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, trouble] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || trouble != std::errc() || end != text.data() + text.size() || value < 0)
    return {};
  return value;
}

// "+30m", "+2h".
std::optional<Time> from_now(std::string_view text, Time now) {
  if (text.size() < 3 || text.front() != '+') return {};
  const char unit = text.back();
  const auto count = number(text.substr(1, text.size() - 2));
  if (!count || (unit != 'm' && unit != 'h')) return {};
  const std::int64_t minutes = std::int64_t{*count} * (unit == 'h' ? 60 : 1);
  if (minutes > kMinutesMost) return {};
  return now + std::chrono::minutes(minutes);
}

// "02:00"
bool read_clock(std::string_view text, std::tm& out) {
  if (text.size() != 5 || text[2] != ':') return false;
  const auto hours = number(text.substr(0, 2));
  const auto minutes = number(text.substr(3));
  if (!hours || !minutes || *hours > 23 || *minutes > 59) return false;
  out.tm_hour = *hours;
  out.tm_min = *minutes;
  out.tm_sec = 0;
  out.tm_isdst = -1;
  return true;
}

Time made(std::tm parts) { return std::chrono::system_clock::from_time_t(std::mktime(&parts)); }

std::optional<Time> next_at(std::string_view text, Time now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  if (!read_clock(text, parts)) return {};
  if (const Time today = made(parts); today > now) return today;
  ++parts.tm_mday;
  return made(parts);
}

// "2026-11-22T02:00", local.
std::optional<Time> on_day(std::string_view text) {
  if (text.size() != 16 || text[4] != '-' || text[7] != '-' || text[10] != 'T') return {};
  const auto year = number(text.substr(0, 4));
  const auto month = number(text.substr(5, 2));
  const auto day = number(text.substr(8, 2));
  std::tm parts{};
  if (!year || !month || !day || !read_clock(text.substr(11), parts)) return {};
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *year < 2000 || *year > 2200) return {};
  parts.tm_year = *year - 1900;
  parts.tm_mon = *month - 1;
  parts.tm_mday = *day;
  return made(parts);
}

}  // namespace

Result<Time> parse_begin_time(std::string_view text, Time now) {
  if (const auto time = from_now(text, now)) return *time;
  if (const auto time = next_at(text, now)) return *time;
  if (const auto time = on_day(text)) return *time;
  if (const auto time = json::time_from_text(text)) return *time;
  return fail(ErrorCode::kInvalidArgument,
              "\"{}\" is no time to begin at. Say 02:00, 2026-11-22T02:00, "
              "2026-11-22T02:00:00Z, +30m or +2h.",
              text.substr(0, 40));
}

}  // namespace drover::cli
