// SPDX-License-Identifier: Apache-2.0
// All of this folder, put together on an engine: what droverd holds of it.
#pragma once

#include "move/engine.h"
#include "move/plan/inventory.h"
#include "place/evacuator.h"
#include "place/peer_side.h"
#include "place/placer.h"
#include "place/real_ground.h"

namespace drover::place {

class Placing {
 public:
  // All outlive it. `others`: takes the peer verbs that are not of placing.
  Placing(move::World& world, move::Engine& engine, move::Inventory& inventory,
          net::PeerHandler& others);

  // Call once, after the engine's recover().
  Status recover();
  // Nothing new is begun; what is being asked is not waited for. The process ends soon.
  void leave();
  // A move of this host has another state. Returns at once.
  void take(const Move& move);

  Placer& placer() { return placer_; }
  Evacuator& evacuator() { return evacuator_; }
  net::PeerHandler& peer_side() { return peer_side_; }

 private:
  class EnginePlans final : public Plans {
   public:
    explicit EnginePlans(move::Engine& engine) : engine_(engine) {}
    Result<Plan> plan(const MoveRequest& request) override { return engine_.plan(request); }
    Result<Move> start(const MoveRequest& request) override { return engine_.start(request); }
    std::vector<Move> moves() override { return engine_.moves(); }

   private:
    move::Engine& engine_;
  };

  EnginePlans plans_;
  RealGround ground_;
  Placer placer_;
  Evacuator evacuator_;
  PeerSide peer_side_;
};

}  // namespace drover::place
