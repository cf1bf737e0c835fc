// SPDX-License-Identifier: Apache-2.0
// When a person wants a move to begin. Pure but for the time zone.
#pragma once

#include <chrono>
#include <string_view>

#include "base/error.h"

namespace drover::cli {

// "02:00" (the next time the clock on the wall shows that), "2026-11-22T02:00" (local),
// "2026-11-22T02:00:00Z" (RFC 3339), or "+30m", "+2h" from now. kInvalidArgument says what there
// is.
Result<std::chrono::system_clock::time_point> parse_begin_time(
    std::string_view text, std::chrono::system_clock::time_point now);

}  // namespace drover::cli
