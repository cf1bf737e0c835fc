// SPDX-License-Identifier: Apache-2.0
// Which networks a move's links take. Pure; the source's droverd asks it, when both hosts' facts
// are at hand.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "model/host.h"
#include "model/plan.h"

namespace drover::preflight {

struct RoadView {
  const MoveRequest& request;
  const HostFacts& source;  // both with `settings`
  const HostFacts& destination;
  std::string paired_address;   // the destination's, an address or a name
  std::string address_towards;  // the source's, for that one; empty: not known
};

struct Road {
  std::vector<NetworkPair> pairs;  // none only with a blocker
  std::vector<Finding> findings;
};

// The networks wished for are those of the request, else of the source's settings, else of the
// destination's. Each gives one pair, in its order: the first address that either host has in it,
// at the destination only one that its settings allow. None wished for: the way by which the hosts
// were paired. kInvalidArgument: the request's networks are none.
Result<Road> choose_road(const RoadView& view);

}  // namespace drover::preflight
