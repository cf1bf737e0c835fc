// SPDX-License-Identifier: Apache-2.0
#include "model/evacuation.h"

#include <array>
#include <utility>

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

template <typename Table, typename Value>
std::string_view name_in(const Table& table, Value value) {
  for (const auto& [key, name] : table) {
    if (key == value) return name;
  }
  return table.back().second;
}

template <typename Value, typename Table>
std::optional<Value> value_in(const Table& table, std::string_view text) {
  for (const auto& [key, name] : table) {
    if (name == text) return key;
  }
  return std::nullopt;
}

}  // namespace

std::string_view evacuation_kind_name(EvacuationKind kind) { return name_in(kKinds, kind); }
std::optional<EvacuationKind> evacuation_kind_from_name(std::string_view name) {
  return value_in<EvacuationKind>(kKinds, name);
}
std::string_view evacuation_state_name(EvacuationState state) { return name_in(kStates, state); }
std::optional<EvacuationState> evacuation_state_from_name(std::string_view name) {
  return value_in<EvacuationState>(kStates, name);
}
std::string_view evacuee_state_name(EvacueeState state) { return name_in(kEvacuees, state); }
std::optional<EvacueeState> evacuee_state_from_name(std::string_view name) {
  return value_in<EvacueeState>(kEvacuees, name);
}

}  // namespace drover
