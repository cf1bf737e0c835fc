// SPDX-License-Identifier: Apache-2.0
#include "gate/gate_event.h"

#include <array>

#include <nlohmann/json.hpp>

#include "net/control_message.h"

namespace drover::gate {
namespace {

using nlohmann::json;

constexpr std::array kKinds{
    std::pair{GateEventKind::kPolicyRefused, "policy_refused"},
    std::pair{GateEventKind::kPrepared, "prepared"},
    std::pair{GateEventKind::kSwitching, "switching"},
    std::pair{GateEventKind::kFinishSeen, "finish_seen"},
    std::pair{GateEventKind::kFinishReplied, "finish_replied"},
    std::pair{GateEventKind::kInDoubt, "in_doubt"},
    std::pair{GateEventKind::kEnded, "ended"},
};

constexpr std::array kOutcomes{
    std::pair{GateOutcome::kRuns, "runs"},
    std::pair{GateOutcome::kNotRun, "not_run"},
    std::pair{GateOutcome::kAborted, "aborted"},
    std::pair{GateOutcome::kInDoubt, "in_doubt"},
};

template <typename Names, typename Value>
const char* name_of(const Names& names, Value value) {
  for (const auto& [candidate, name] : names) {
    if (candidate == value) return name;
  }
  return "";
}

template <typename Value, typename Names>
Result<Value> value_of(const Names& names, const std::string& text) {
  for (const auto& [value, name] : names) {
    if (text == name) return value;
  }
  return fail(ErrorCode::kProtocol, "A gate sent the unknown word '{}'.", text);
}

}  // namespace

json event_message(const GateEvent& event) {
  json message{{"event", name_of(kKinds, event.kind)}};
  switch (event.kind) {
    case GateEventKind::kPolicyRefused:
      message["call"] = event.call;
      message["error"] = event.error;
      break;
    case GateEventKind::kFinishSeen:
      message["cancelled"] = event.cancelled;
      break;
    case GateEventKind::kFinishReplied:
      message["ok"] = event.ok;
      message["error"] = event.error;
      if (event.ok && event.domain_id >= 0) message["domain_id"] = event.domain_id;
      break;
    case GateEventKind::kInDoubt:
      message["error"] = event.error;
      break;
    case GateEventKind::kEnded:
      message["outcome"] = name_of(kOutcomes, event.outcome);
      break;
    default:
      break;
  }
  return message;
}

Result<GateEvent> parse_event(const json& message) {
  GateEvent event;
  ASSIGN_OR_RETURN(const std::string name, net::text_member(message, "event"));
  ASSIGN_OR_RETURN(event.kind, value_of<GateEventKind>(kKinds, name));
  ASSIGN_OR_RETURN(event.call, net::text_member_or(message, "call", ""));
  ASSIGN_OR_RETURN(event.error, net::text_member_or(message, "error", ""));
  ASSIGN_OR_RETURN(event.cancelled, net::flag_member_or(message, "cancelled", false));
  ASSIGN_OR_RETURN(event.ok, net::flag_member_or(message, "ok", false));
  if (message.contains("domain_id")) {
    ASSIGN_OR_RETURN(const std::uint64_t id, net::count_member(message, "domain_id"));
    event.domain_id = static_cast<std::int32_t>(id);
  }
  ASSIGN_OR_RETURN(const std::string outcome, net::text_member_or(message, "outcome", "aborted"));
  ASSIGN_OR_RETURN(event.outcome, value_of<GateOutcome>(kOutcomes, outcome));
  return event;
}

}  // namespace drover::gate
