// SPDX-License-Identifier: Apache-2.0
// All of this folder, put together: what droverd holds of it. Any thread.
#pragma once

#include <functional>

#include "fit/cpu_compat.h"
#include "fit/fixes.h"
#include "fit/mobility.h"
#include "fit/peer_side.h"
#include "move/engine.h"
#include "move/inventory.h"

namespace drover::fit {

class Fitting {
 public:
  // All outlive it. `others`: takes the peer verbs that are not of CPUs.
  Fitting(move::World& world, move::Engine& engine, move::Inventory& inventory,
          net::PeerHandler& others)
      : world_(world), engine_(engine), inventory_(inventory), peer_side_(world, others) {}

  // Of this host's VMs: one by name or UUID, or all (empty).
  Result<Mobility> mobility(std::string_view vm);
  net::PeerHandler& peer_side() { return peer_side_; }

 private:
  move::World& world_;
  move::Engine& engine_;
  move::Inventory& inventory_;
  PeerSide peer_side_;
};

}  // namespace drover::fit
