// SPDX-License-Identifier: Apache-2.0
#include "model/evacuation.h"

#include "model/name_table.h"

namespace drover {
namespace {

constexpr std::array kKinds{std::pair{EvacuationKind::kEvacuate, std::string_view("evacuate")},
                            std::pair{EvacuationKind::kReturn, std::string_view("return")}};
constexpr std::array kStates{std::pair{EvacuationState::kPlanned, std::string_view("planned")},
                             std::pair{EvacuationState::kRunning, std::string_view("running")},
                             std::pair{EvacuationState::kDone, std::string_view("done")},
                             std::pair{EvacuationState::kCancelled, std::string_view("cancelled")}};
constexpr std::array kEvacuees{std::pair{EvacueeState::kWaits, std::string_view("waits")},
                               std::pair{EvacueeState::kMoving, std::string_view("moving")},
                               std::pair{EvacueeState::kMoved, std::string_view("moved")},
                               std::pair{EvacueeState::kStays, std::string_view("stays")}};

}  // namespace

std::string_view evacuation_kind_name(EvacuationKind kind) { return name_in(kKinds, kind); }
std::optional<EvacuationKind> evacuation_kind_from_name(std::string_view name) {
  return value_in(kKinds, name);
}
std::string_view evacuation_state_name(EvacuationState state) { return name_in(kStates, state); }
std::optional<EvacuationState> evacuation_state_from_name(std::string_view name) {
  return value_in(kStates, name);
}
std::string_view evacuee_state_name(EvacueeState state) { return name_in(kEvacuees, state); }
std::optional<EvacueeState> evacuee_state_from_name(std::string_view name) {
  return value_in(kEvacuees, name);
}

}  // namespace drover
