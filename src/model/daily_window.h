// SPDX-License-Identifier: Apache-2.0
// A span of each day in which a VM may be switched to another host (docs/queue.md). Plain value.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.h"

namespace drover {

// By the local time of the source. One that ends before it opens goes over midnight.
struct DailyWindow {
  std::chrono::minutes opens{0};   // after midnight, below 24 h
  std::chrono::minutes closes{0};  // likewise, never the same

  bool operator==(const DailyWindow&) const = default;
};

// "02:00-04:00".
std::string window_text(const DailyWindow& window);
// The same. kInvalidArgument: another form, no such time, or a window of no length.
Result<DailyWindow> parse_window(std::string_view text);

}  // namespace drover
