// SPDX-License-Identifier: Apache-2.0
// What a gate tells droverd, as values (docs/processes.md, "drover-gate").
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "base/error.h"

namespace drover::gate {

enum class GateEventKind {
  kPolicyRefused,  // call, error
  kPrepared,
  kSwitching,
  kFinishSeen,     // cancelled
  kFinishReplied,  // ok, domain_id or error
  kInDoubt,        // error: deliver() is awaited
  kEnded,          // outcome; the gate exits
};

enum class GateOutcome {
  kRuns,     // the guest runs at the destination
  kNotRun,   // FINISH(0) came, and it is proven that the guest never ran at the destination
  kAborted,  // FINISH(0) was never accepted
  kInDoubt,  // destination only: accepted, and libvirtd's answer is an error or was lost
};

struct GateEvent {
  GateEventKind kind = GateEventKind::kEnded;
  std::string call{};
  std::string error{};
  bool cancelled = false;
  bool ok = false;
  std::int32_t domain_id = -1;
  GateOutcome outcome = GateOutcome::kAborted;
  bool operator==(const GateEvent&) const = default;
};

nlohmann::json event_message(const GateEvent& event);
// kProtocol for anything else.
Result<GateEvent> parse_event(const nlohmann::json& message);

}  // namespace drover::gate
