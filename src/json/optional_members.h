// SPDX-License-Identifier: Apache-2.0
// Members that are there only if there is a value. For the encoders of this folder.
#pragma once

#include <optional>

#include "json/encode.h"

namespace drover::json {

// In the unit of its type, which the name ends in.
template <typename Span>
void put_span(nlohmann::json& out, const char* name, const std::optional<Span>& span) {
  if (span) out[name] = span->count();
}

inline void put_time(nlohmann::json& out, const char* name, const std::optional<Time>& time) {
  if (time) out[name] = time_text(*time);
}

}  // namespace drover::json
