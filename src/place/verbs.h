// SPDX-License-Identifier: Apache-2.0
// What daemons say to each other about placing (docs/peer_verbs.md), beyond the verbs of a move.
// Plain values; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/move.h"

namespace drover::place {

namespace verb {
inline constexpr std::string_view kCapacity = "capacity";  // {} -> Capacity; right: none
inline constexpr std::string_view kBring = "bring";        // BringRequest -> MoveView
inline constexpr std::string_view kBrought = "brought";    // MoveName -> MoveView; of the asker's
inline constexpr std::string_view kUnbring = "unbring";    // MoveName -> MoveView; ends one
}  // namespace verb

// "Move that VM to me."
struct BringRequest {
  std::string vm;                           // UUID
  std::vector<std::string> accepted_codes;  // notes are accepted
  std::string requested_by;                 // there; the host that is asked adds the asker's name
  bool only_check = false;                  // say whether it could: nothing is begun
};

// What of a move an evacuation looks at.
struct MoveView {
  std::string id;  // empty: it was only checked
  MoveState state = MoveState::kRunning;
  bool queued = false;      // it waits for its turn: nothing was touched
  std::string destination;  // as the host that it leaves calls it
  std::string explanation;  // of one that has ended, or what it waits for
};

MoveView view_of(const Move& move);

std::string to_json(const BringRequest& request);
std::string to_json(const MoveView& view);
Result<BringRequest> bring_request_from_json(std::string_view text);
Result<MoveView> move_view_from_json(std::string_view text);

}  // namespace drover::place
