// SPDX-License-Identifier: Apache-2.0
#include "forecast/recall.h"

#include <algorithm>

namespace drover::forecast {
namespace {

using Time = std::chrono::system_clock::time_point;

// A clock that was set back makes nothing younger than it is.
std::optional<AgedRate> aged(BytesPerSecond rate, Time::duration since,
                             std::chrono::milliseconds before) {
  const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(since) + before;
  if (rate.value == 0 || since < Time::duration::zero() || age > kRecalled) return std::nullopt;
  return AgedRate{rate, age};
}

bool is_same_way(const Plan& one, const Plan& other) {
  return one.request.destination == other.request.destination &&
         std::ranges::equal(one.networks, other.networks, {}, &NetworkPair::destination_address,
                            &NetworkPair::destination_address);
}

}  // namespace

std::optional<AgedRate> recall_link(const Plan& plan, std::span<const Move> moves, Time now) {
  for (const Move& move : moves) {
    const auto& made = move.plan.forecast;
    if (!made || !is_same_way(move.plan, plan)) continue;
    if (const auto link = aged(made->link_rate, now - move.plan.made_at, made->link_age))
      return link;
  }
  return std::nullopt;
}

std::optional<AgedRate> recall_dirtying(std::string_view vm_uuid, std::span<const Move> moves,
                                        Time now) {
  for (const Move& move : moves) {
    if (move.plan.vm.uuid != vm_uuid || !move.ended_at || !move.report) continue;
    const auto& passes = move.report->passes;
    if (passes.empty()) continue;
    if (const auto changed = aged(passes.back().dirtied, now - *move.ended_at, {})) return changed;
  }
  return std::nullopt;
}

}  // namespace drover::forecast
