// SPDX-License-Identifier: Apache-2.0
// What no plan can beat, whatever it does: for judging plans. Pure.
#pragma once

#include <string>
#include <vector>

#include "fleet/fleet.h"
#include "fleet/room.h"

namespace drover::fleet {

// Each holds on its own; the bound is the largest.
struct LowerBound {
  Seconds links{};    // the bytes of the busiest source over its link; of all over all that receive
  Seconds longest{};  // the longest move with the links to itself
  Seconds slots{};    // the moves of the busiest source, each with the links to itself, by slots
  Seconds most() const { return std::max({links, longest, slots}); }
  std::string_view which() const;  // "links", "longest", "slots"
};

// Of moving all these VMs to any of these hosts, beginning with nothing under way. Every VM's bytes
// are those at the best rate that any destination allows.
LowerBound lower_bound(const Fleet& fleet, const std::vector<VmIndex>& vms,
                       const std::vector<HostIndex>& destinations, const MoveTiming& timing);

}  // namespace drover::fleet
