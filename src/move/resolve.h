// SPDX-License-Identifier: Apache-2.0
// What an administrator says about a move that is in doubt or parked, held against what can be
// asked: docs/resolve.md. Nothing is changed here. Any thread; takes as long as the destination's
// answer, at most 20 s.
#pragma once

#include <string>

#include "move/world.h"

namespace drover::move {

struct Claim {
  std::string runs_on;        // a host
  bool peer_is_lost = false;  // the destination will never answer again, and runs nothing
  std::string by;
};

// The claim as a decision that may be followed. kInvalidArgument: it names another host. kConflict:
// the move needs no decision, or the claim is false; kUnavailable: it cannot be checked. Each says
// what was seen, and what helps.
Result<Resolution> check_claim(World& world, const Move& move, const Claim& claim);

// The destination's silence, as a failed call to it says it: it does not answer, or not as the host
// that was paired.
bool is_silent(World& world, const std::string& destination, const Error& error);

// Of a destination that answers, but knows nothing of the move: it has another journal now. OK: nor
// does its libvirt have the VM. kConflict: it has; other codes: that cannot be found out.
Status check_unknown_there(World& world, const Move& move);

}  // namespace drover::move
