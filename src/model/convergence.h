// SPDX-License-Identifier: Apache-2.0
// What a move does about a guest that changes its memory faster than the link carries it:
// docs/convergence.md. Plain values.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.h"

namespace drover {

enum class ConvergencePolicy {
  kWait,       // goes on until the guest does less
  kSlowGuest,  // takes processor time from the guest (libvirt's auto-converge)
  kPause,      // lets the guest stand still for longer at the switch, up to `limit`
  kGiveUp,     // tries for `limit`, then ends the move; the VM stays
};

struct Convergence {
  ConvergencePolicy policy = ConvergencePolicy::kPause;
  std::chrono::seconds limit{5};  // kPause, kGiveUp

  bool operator==(const Convergence&) const = default;
};

inline constexpr std::chrono::seconds kPauseUsual{5};    // of "pause" without a number
inline constexpr std::chrono::seconds kGiveUpUsual{60};  // of "give-up" without a number
inline constexpr std::chrono::seconds kPauseMost{300};
inline constexpr std::chrono::seconds kGiveUpMost{86'400};

// "wait", "slow-guest", "pause:5", "give-up:60".
std::string convergence_text(const Convergence& convergence);
// The same; "pause" and "give-up" may come without seconds. kInvalidArgument says what there is.
Result<Convergence> parse_convergence(std::string_view text);

}  // namespace drover
