// SPDX-License-Identifier: Apache-2.0
// Where VMs could go, and hosts that are emptied or filled again (docs/evacuate.md). Plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_count.h"
#include "model/plan.h"

namespace drover {

// One host that a VM could go to.
struct HostChoice {
  std::string host;
  bool possible = false;
  unsigned load_percent = 0;              // of the host with the VM on it; 100: full
  std::chrono::milliseconds forecast{0};  // of the move with the links to itself; if possible
  std::string why;                        // one sentence; only if possible
  std::vector<Finding> obstacles;         // blockers; empty if possible
};

// VMs that were placed just before: what they take counts.
struct PlacedVm {
  std::string vm;  // UUID
  std::string destination;
};

struct BestRequest {
  MoveRequest request;             // its destination is not read
  std::vector<std::string> among;  // hosts; none: every paired host
  std::vector<PlacedVm> after;
};

struct BestChoice {
  std::vector<HostChoice> hosts;  // possible ones first, the best in front
  std::optional<Plan> plan;       // to the best; nothing: none is possible
};

enum class EvacuationKind { kEvacuate, kReturn };
std::string_view evacuation_kind_name(EvacuationKind kind);  // "evacuate", "return"
std::optional<EvacuationKind> evacuation_kind_from_name(std::string_view name);

enum class EvacuationState {
  kPlanned,    // only a forecast: nothing was asked for
  kRunning,    // VMs move, or wait for it
  kDone,       // no VM moves any more; some may stay
  kCancelled,  // a user ended it; VMs that had begun to move have arrived, or not
};
std::string_view evacuation_state_name(EvacuationState state);
std::optional<EvacuationState> evacuation_state_from_name(std::string_view name);

enum class EvacueeState {
  kWaits,   // nothing of it was begun, or what was begun has failed and is tried again
  kMoving,  // in the queue of its source, or under way
  kMoved,
  kStays,  // it does not go; `why` says why
};
std::string_view evacuee_state_name(EvacueeState state);
std::optional<EvacueeState> evacuee_state_from_name(std::string_view name);

// One VM of an evacuation or a return.
struct Evacuee {
  std::string uuid;
  std::string name;
  std::string source;       // the host it is on
  std::string destination;  // planned, under way, or reached; empty: there is none
  EvacueeState state = EvacueeState::kWaits;
  std::string move;                // its newest move, on the source; empty: none yet
  unsigned attempts = 0;           // moves of it that failed
  std::string why;                 // it waits or stays, or the newest move failed; for people
  std::vector<std::string> fixes;  // each a sentence or a command
  ByteCount bytes;                 // forecast of what its move sends
  std::optional<std::chrono::milliseconds> starts_in, ends_in;  // forecast, from planned_at on
};

struct EvacuationRequest {
  EvacuationKind kind = EvacuationKind::kEvacuate;
  std::vector<std::string> to;              // hosts; none: every paired host
  std::vector<std::string> accepted_codes;  // of warnings in the moves' plans
  std::string requested_by;                 // set by the API, never by the caller
};

// All VMs of a host leave it, or those that left come back. The host itself keeps it.
struct Evacuation {
  std::string id;  // empty: planned only
  std::string host;
  EvacuationRequest request;
  EvacuationState state = EvacuationState::kPlanned;
  bool keeps_out = false;  // no plan of any host chooses this host
  bool cancel_asked = false;
  std::vector<Evacuee> vms;           // in the order of the timetable, then by name
  std::vector<std::string> troubles;  // hosts that cannot be asked, each with the reason
  std::vector<std::string> events;    // what happened, in order; the newest kEvacuationEventsMax
  std::string explanation;            // one sentence, once it has ended
  std::chrono::system_clock::time_point started_at;
  std::chrono::system_clock::time_point planned_at;  // of the timetable
  std::optional<std::chrono::system_clock::time_point> ended_at;
};
inline constexpr std::size_t kEvacuationEventsMax = 200;

}  // namespace drover
