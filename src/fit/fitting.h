// SPDX-License-Identifier: Apache-2.0
// All of this folder, put together: what droverd holds of it. Any thread.
#pragma once

#include <atomic>
#include <functional>

#include "fit/cpu_compat.h"
#include "fit/fixes.h"
#include "fit/mobility.h"
#include "fit/peer_side.h"
#include "move/engine.h"
#include "move/plan/inventory.h"

namespace drover::fit {

class Fitting {
 public:
  // All outlive it. `others`: takes the peer verbs that are not of CPUs.
  Fitting(move::World& world, move::Engine& engine, move::Inventory& inventory,
          net::PeerHandler& others);

  // Of this host's VMs: one by name or UUID, or all (empty). Takes a minute at most.
  Result<Mobility> mobility(std::string_view vm);
  // Those who look for places hear it, and answer with what they have. Nothing is looked for after.
  void leave() { leaving_ = true; }
  // cpu_compat.h, fixes.h; no move, export or import has the VM meanwhile.
  Result<CpuCompat> cpu_compat(const CpuWish& wish);
  Result<std::vector<AppliedFix>> apply_fix(const Plan& plan, std::string_view code,
                                            std::string_view requested_by);
  Result<AppliedFix> undo_fix(std::string_view id);
  net::PeerHandler& peer_side() { return peer_side_; }

 private:
  move::World& world_;
  move::Engine& engine_;
  move::Inventory& inventory_;
  const WhileFree while_free_;
  PeerSide peer_side_;
  std::atomic<bool> leaving_ = false;
};

}  // namespace drover::fit
