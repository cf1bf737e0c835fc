// SPDX-License-Identifier: Apache-2.0
// How many moves a host works on at once (docs/queue.md). Plain value.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace drover {

struct MoveLimit {
  unsigned count = 2;      // 0: unlimited; of `automatic` only what forecasts go by
  bool automatic = false;  // another only while link and processors have room

  bool unlimited() const { return count == 0; }
  bool operator==(const MoveLimit&) const = default;
};

inline constexpr unsigned kMoveLimitMost = 1000;
// Higher goes first.
inline constexpr int kPriorityMost = 100;
inline constexpr int kPriorityLeast = -100;
inline constexpr unsigned kRetriesMost = 20;  // who wants more has another problem

// "2", "unlimited", "auto".
std::string move_limit_text(MoveLimit limit);
// The same, 1 to kMoveLimitMost. `key` is the setting; kInvalidArgument says what there is instead.
Result<MoveLimit> parse_move_limit(std::string_view key, std::string_view text);
// kInvalidArgument: not between the two above.
Status check_priority(int priority);
// kInvalidArgument: more than kRetriesMost.
Status check_retries(unsigned retries);

}  // namespace drover
