// SPDX-License-Identifier: Apache-2.0
// The ground as it is: the engine of this host, and its peers by the verbs of verbs.h.
#pragma once

#include <functional>

#include "move/engine.h"
#include "move/plan/inventory.h"
#include "place/ground.h"

namespace drover::place {

class RealGround final : public Ground {
 public:
  // All outlive it. `evacuated`: this host is being emptied, as it tells its peers.
  RealGround(move::World& world, move::Engine& engine, move::Inventory& inventory,
             std::function<bool()> evacuated)
      : world_(world), engine_(engine), inventory_(inventory), evacuated_(std::move(evacuated)) {}

  // What this host says of itself.
  Result<Capacity> capacity();

  Picture look() override;
  Status check(std::string_view source, const MoveRequest& request) override;
  Result<MoveView> start(std::string_view source, const MoveRequest& request) override;
  Result<MoveView> view(std::string_view source, std::string_view move) override;
  Status recall(std::string_view source, std::string_view move) override;
  std::string moving(std::string_view vm_uuid) override { return engine_.moving(vm_uuid); }

 private:
  Result<MoveView> bring(std::string_view source, const MoveRequest& request, bool only_check);
  bool is_here(std::string_view host) const { return host == world_.host_name; }

  move::World& world_;
  move::Engine& engine_;
  move::Inventory& inventory_;
  const std::function<bool()> evacuated_;
};

// Ends a move that waits for its turn. kConflict: it does not wait.
Status recall_waiting(move::Engine& engine, std::string_view move);

}  // namespace drover::place
