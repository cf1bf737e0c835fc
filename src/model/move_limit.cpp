// SPDX-License-Identifier: Apache-2.0
#include "model/move_limit.h"

#include <charconv>

namespace drover {

std::string move_limit_text(MoveLimit limit) {
  if (limit.automatic) return "auto";
  return limit.unlimited() ? "unlimited" : std::to_string(limit.count);
}

Result<MoveLimit> parse_move_limit(std::string_view key, std::string_view text) {
  if (text == "unlimited") return MoveLimit{0, false};
  if (text == "auto") return MoveLimit{MoveLimit{}.count, true};
  unsigned count = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), count);
  const bool number = problem == std::errc() && end == text.data() + text.size();
  if (number && count == 0) {
    return fail(ErrorCode::kInvalidArgument,
                "{}=0 would leave moves waiting for ever. To let none leave, use outgoing=off; to "
                "take none in, incoming=off.",
                key);
  }
  if (!number || count > kMoveLimitMost) {
    return fail(ErrorCode::kInvalidArgument,
                "{} is a number from 1 to {}, unlimited or auto, not \"{}\".", key, kMoveLimitMost,
                text);
  }
  return MoveLimit{count, false};
}

Status check_priority(int priority) {
  if (priority >= kPriorityLeast && priority <= kPriorityMost) return {};
  return fail(ErrorCode::kInvalidArgument, "A priority is a number from {} to {}, not {}.",
              kPriorityLeast, kPriorityMost, priority);
}

Status check_retries(unsigned retries) {
  if (retries <= kRetriesMost) return {};
  return fail(ErrorCode::kInvalidArgument, "Retries are a number from 0 to {}, not {}.",
              kRetriesMost, retries);
}

}  // namespace drover
