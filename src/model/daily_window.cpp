// SPDX-License-Identifier: Apache-2.0
#include "model/daily_window.h"

#include <optional>

namespace drover {
namespace {

using std::chrono::minutes;

constexpr std::size_t kTimeLength = 5;  // "02:00"

std::optional<int> two_digits(std::string_view text) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.size() != 2 || !is_digit(text[0]) || !is_digit(text[1])) return {};
  return (text[0] - '0') * 10 + (text[1] - '0');
}

std::optional<minutes> time_of_day(std::string_view text) {
  if (text.size() != kTimeLength || text[2] != ':') return {};
  const auto hours = two_digits(text.substr(0, 2));
  const auto rest = two_digits(text.substr(3));
  if (!hours || !rest || *hours > 23 || *rest > 59) return {};
  return minutes(*hours * 60 + *rest);
}

std::string time_text(minutes time) {
  return fmt::format("{:02}:{:02}", time.count() / 60, time.count() % 60);
}

}  // namespace

std::string window_text(const DailyWindow& window) {
  return time_text(window.opens) + "-" + time_text(window.closes);
}

Result<DailyWindow> parse_window(std::string_view text) {
  const std::size_t dash = text.find('-');
  const auto opens = time_of_day(text.substr(0, dash));
  const auto closes =
      dash == std::string_view::npos ? std::nullopt : time_of_day(text.substr(dash + 1));
  if (!opens || !closes) {
    return fail(ErrorCode::kInvalidArgument,
                "\"{}\" is no window. Name two times of the day: 02:00-04:00.", text.substr(0, 40));
  }
  if (*opens == *closes) {
    return fail(ErrorCode::kInvalidArgument,
                "The window {} never opens: it ends when it begins. Without a window a move may "
                "switch at any time.",
                text);
  }
  return DailyWindow{*opens, *closes};
}

}  // namespace drover
