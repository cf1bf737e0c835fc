// SPDX-License-Identifier: Apache-2.0
// Text as a terminal shows it: columns rather than bytes, and nothing that could drive the
// terminal. Pure functions; any thread. Text is UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace drover::cli {

// Names come from other hosts: control characters and broken UTF-8 become visible escapes ("\x1b").
std::string printable(std::string_view text);

// Columns that printable text takes: 2 for "東", 0 for a combining accent.
std::size_t display_width(std::string_view text);

// Filled up with spaces to `width` columns.
std::string padded(std::string_view text, std::size_t width);
std::string padded_left(std::string_view text, std::size_t width);

// At most `width` columns; what is cut off is said by a closing "…".
std::string cut(std::string_view text, std::size_t width);

}  // namespace drover::cli
