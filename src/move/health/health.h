// SPDX-License-Identifier: Apache-2.0
// How a guest does after the switch: what is looked at, and what is missed of what was there before
// (docs/health.md). signs_of() asks the hypervisor and takes at most some seconds; the others are
// pure. Any thread.
#pragma once

#include <chrono>
#include <string_view>
#include <vector>

#include "hypervisor/hypervisor.h"
#include "model/move.h"

namespace drover::move {

// With its agent's answer, where there is one.
Result<GuestSigns> signs_of(Hypervisor& hypervisor, std::string_view uuid);

// Sets the guest's clock, by its agent, so far before the host's.
Status set_guest_clock(Hypervisor& hypervisor, std::string_view uuid, std::int64_t ahead_ms);

// What a guest did between two looks at it on one host.
HealthBefore before_of(const GuestSigns& early, const GuestSigns& late);

// By how much its clock fell behind on the way, if that is more than a second: the guest's agent
// can mend it. Nothing: not known, or no more than that.
std::optional<std::int64_t> clock_to_set(const HealthBefore& before, const GuestSigns& first);

// What answered before and is silent, `watched` after the first look at the destination.
std::vector<Finding> judge_health(const Move& move, const GuestSigns& first, const GuestSigns& now,
                                  std::chrono::milliseconds watched);

}  // namespace drover::move
