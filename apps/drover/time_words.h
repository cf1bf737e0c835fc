// SPDX-License-Identifier: Apache-2.0
// Spans and points of time in words for people. Pure functions; any thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace drover::cli {

// "66 ms", "11.3 s", "48 s", "3 min 20 s", "2 h 5 min".
std::string span_words(std::chrono::milliseconds span);

// "20 to 40 s left"; empty while nothing is known.
std::string left_words(std::optional<std::chrono::milliseconds> least,
                       std::optional<std::chrono::milliseconds> most);

// "2026-07-25 10:00:07", in the zone of the reader.
std::string moment_words(std::chrono::system_clock::time_point moment);

}  // namespace drover::cli
