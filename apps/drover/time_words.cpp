// SPDX-License-Identifier: Apache-2.0
#include "time_words.h"

#include <ctime>

#include <fmt/chrono.h>
#include <fmt/core.h>

namespace drover::cli {

using std::chrono::milliseconds;

std::string span_words(milliseconds span) {
  const auto ms = span.count() < 0 ? 0 : span.count();
  if (ms < 1000) return fmt::format("{} ms", ms);
  if (ms < 19'950) return fmt::format("{:.1f} s", static_cast<double>(ms) / 1000);
  const auto seconds = (ms + 500) / 1000;
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) {
    return seconds % 60 == 0 ? fmt::format("{} min", seconds / 60)
                             : fmt::format("{} min {} s", seconds / 60, seconds % 60);
  }
  const auto minutes = (seconds + 30) / 60;
  return minutes % 60 == 0 ? fmt::format("{} h", minutes / 60)
                           : fmt::format("{} h {} min", minutes / 60, minutes % 60);
}

namespace {

// A forecast is no better than this; finer words would claim too much.
std::string rough_words(milliseconds span) {
  const auto seconds = (span.count() + 999) / 1000;
  if (seconds < 60) return fmt::format("{} s", seconds < 1 ? 1 : seconds);
  if (seconds < 600) return fmt::format("{:.1f} min", static_cast<double>(seconds) / 60);
  if (seconds < 5400) return fmt::format("{} min", (seconds + 30) / 60);
  return fmt::format("{:.1f} h", static_cast<double>(seconds) / 3600);
}

std::string unit_of(const std::string& words) { return words.substr(words.find(' ')); }

}  // namespace

std::string left_words(std::optional<milliseconds> least, std::optional<milliseconds> most) {
  if (!least && !most) return "";
  if (!most) return fmt::format("at least {} left", rough_words(*least));
  const std::string high = rough_words(*most);
  if (!least) return fmt::format("at most {} left", high);
  std::string low = rough_words(*least);
  if (low == high) return fmt::format("about {} left", high);
  if (unit_of(low) == unit_of(high)) low.resize(low.find(' '));
  return fmt::format("{} to {} left", low, high);
}

std::string moment_words(std::chrono::system_clock::time_point moment) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(moment);
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", parts);
}

}  // namespace drover::cli
