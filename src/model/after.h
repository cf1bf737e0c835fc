// SPDX-License-Identifier: Apache-2.0
// What happens to a move after something went wrong, and to its VM after the switch. Plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/plan.h"

namespace drover {

// An attempt of a move that failed, was undone, and is followed by another (docs/retry.md).
struct Attempt {
  std::string epoch;  // the name by which the destination knew it
  std::string phase;  // that it had reached: phase_name()
  Error error;
  std::chrono::system_clock::time_point ended_at;
};

// An administrator's word on who runs the VM, held against what could be asked (docs/resolve.md).
struct Resolution {
  std::string runs_on;        // the move's source or destination
  bool peer_is_lost = false;  // the destination does not answer, and never will again
  std::string by;
  std::chrono::system_clock::time_point at;
};

// What shows from outside that a guest lives, at one instant. Counters are the guest's view and
// begin anew on each host; what cannot be seen is left out.
struct InterfaceSigns {
  std::string mac;
  std::string device;    // the host's end, such as "vnet0"; empty: none that can be seen
  std::string bridge;    // that it belongs to by its definition; empty: none
  bool plugged = true;   // it is in that bridge
  bool link_up = true;   // as the guest sees it
  bool counted = false;  // the two below are known
  std::uint64_t received_packets = 0;
  std::uint64_t sent_packets = 0;
};

struct GuestSigns {
  bool runs = false;
  std::string state;                           // libvirt's words
  std::chrono::nanoseconds cpu_time{0};        // of all its processors; 0: not known
  bool has_agent = false;                      // a channel for one, and one behind it
  bool agent_answers = false;                  // asked now
  std::optional<std::int64_t> clock_ahead_ms;  // the guest's clock before the host's, by its agent
  std::vector<InterfaceSigns> interfaces;
};

// What answered before the switch: only what did can be missed.
struct HealthBefore {
  bool cpu_went_on = false;
  bool agent_answered = false;
  std::optional<std::int64_t> clock_ahead_ms;
  std::vector<std::string> plugged, received, sent;  // MACs
};

// How a guest does after the switch (docs/health.md).
struct Health {
  enum class State {
    kWatching,  // until `until`
    kWell,      // all that answered before answers
    kIll,       // `findings` say what does not
    kUnknown,   // `text` says why nobody could tell
  };
  State state = State::kWatching;
  HealthBefore before;
  std::optional<GuestSigns> first;  // after the switch; later ones are held against it
  std::vector<Finding> findings;    // HEALTH_…
  std::string text;                 // what was not watched, or done; empty: nothing to say
  std::chrono::system_clock::time_point since;
  std::chrono::system_clock::time_point until;
};
std::string_view health_state_name(Health::State state);  // "watching", "well", "ill", "unknown"
std::optional<Health::State> health_state_from_name(std::string_view name);

}  // namespace drover
