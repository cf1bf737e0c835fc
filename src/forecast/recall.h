// SPDX-License-Identifier: Apache-2.0
// What earlier moves know of a guest and of a way that nobody measures now (docs/forecast.md, "In a
// hurry"). Pure.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string_view>

#include "model/move.h"

namespace drover::forecast {

// What is older is not taken, wherever it comes from.
inline constexpr std::chrono::hours kRecalled{24};

// The same networks to the same destination, as they were measured last for one of `moves`, the
// newest first. `now`: of the wall's clock, as moves have it.
std::optional<AgedRate> recall_link(const Plan& plan, std::span<const Move> moves,
                                    std::chrono::system_clock::time_point now);

// What the VM changed of its memory when it was moved last.
std::optional<AgedRate> recall_dirtying(std::string_view vm_uuid, std::span<const Move> moves,
                                        std::chrono::system_clock::time_point now);

}  // namespace drover::forecast
