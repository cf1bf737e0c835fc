// SPDX-License-Identifier: Apache-2.0
// Structured log lines on stderr: level, time, sentence. Any thread. Levels by audience: error = an
// administrator must act; warning = look at it; info = what happened to moves; debug = for
// developers.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <fmt/core.h>

namespace drover::log {

enum class Level { kDebug, kInfo, kWarning, kError };

// Call once in main; `program` is put before each line. Under systemd (JOURNAL_STREAM) time is left
// out and levels are written as the journal's <N> prefixes.
void start(std::string_view program, Level least);
void write(Level level, std::string_view text);

template <typename... Args>
void debug(fmt::format_string<Args...> text, Args&&... args) {
  write(Level::kDebug, fmt::format(text, std::forward<Args>(args)...));
}
template <typename... Args>
void info(fmt::format_string<Args...> text, Args&&... args) {
  write(Level::kInfo, fmt::format(text, std::forward<Args>(args)...));
}
template <typename... Args>
void warning(fmt::format_string<Args...> text, Args&&... args) {
  write(Level::kWarning, fmt::format(text, std::forward<Args>(args)...));
}
template <typename... Args>
void error(fmt::format_string<Args...> text, Args&&... args) {
  write(Level::kError, fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace drover::log
