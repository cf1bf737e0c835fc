// SPDX-License-Identifier: Apache-2.0
// Where each VM of this host could go now, and what one change would add the most places: from the
// plans to every paired host. Reads only. Any thread; asks all hosts at once.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/fit.h"

namespace drover::fit {

// All but `in_doubt` may be called by several threads.
struct MobilityView {
  std::string host;                // this one
  std::vector<std::string> hosts;  // paired, that may be given VMs
  std::function<Result<Plan>(const MoveRequest&)> plan;
  std::function<std::string(std::string_view vm_uuid)> moving;  // its move; empty: none
  // Why it may go nowhere before a parked move of it is settled; without: none is.
  std::function<Status(const Vm& vm)> in_doubt;
  std::function<bool()> over;  // there is no time for another plan; without: there is
};

// `vms`: of this host. Hosts that do not answer are named once. Places that there was no time to
// ask for say so.
Mobility look_for_places(const MobilityView& view, const std::vector<Vm>& vms);

// The change that adds the most hosts to those that can take the VM; of several the one that Drover
// can make itself, then the first. Pure. Nothing: no single change adds one.
std::optional<MobilityChange> best_change(const std::vector<MobilityPlace>& places);

}  // namespace drover::fit
