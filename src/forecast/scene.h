// SPDX-License-Identifier: Apache-2.0
// What a forecast is made of: a VM, its disks, a road and what is wanted of the move, as measured
// or known before its first byte (docs/forecast.md). Plain values; 0 means not known unless said.
#pragma once

#include <chrono>
#include <optional>

#include "base/byte_count.h"
#include "model/move.h"

namespace drover::forecast {

// Changed by a guest of which nobody knows better, in a second.
inline constexpr BytesPerSecond kUsualDirtying{4'000'000};

struct Scene {
  MoveKind kind = MoveKind::kLive;
  bool compress = true;   // the mover describes and compresses; false: performance direct
  bool executes = false;  // the guest works, so it changes its memory; it may be paused, or off
  ByteCount memory;       // of the VM; of one that is off what is saved of it, or nothing
  ByteCount memory_used;  // of that, what the guest ever wrote; at most `memory`
  // Memory changed in a second, each page counted once; nothing: nobody has measured it.
  std::optional<BytesPerSecond> dirty_rate;
  ByteCount dirty_set;  // what it changes again and again; 0: all that it uses, for all we know
  std::chrono::milliseconds dirty_age{0};  // since those were measured
  ByteCount disks;                         // allocated, to be copied; of running VMs and others
  ByteCount spared_memory;                 // of `memory_used`, likely held by the destination
  ByteCount spared_disks;                  // of `disks`, likewise
  BytesPerSecond link;                     // of all networks of the plan together
  std::chrono::milliseconds link_age{0};   // since that was measured
  BytesPerSecond bandwidth;                // 0: the move is not limited
  BytesPerSecond read;                     // of the place where the disks lie
  BytesPerSecond write;                    // of the slowest place where they land
  bool one_device = false;                 // both are the same device
  Convergence convergence;
  Verification verification = Verification::kAsSent;
};

// The scene that a plan's forecast was made from, so that a finished move can be held against it.
// `convergence`: in force for the move. REQUIRES: plan.forecast.
Scene scene_of(const Plan& plan, const Convergence& convergence);

// What the move was allowed when its forecast was made, by its request and the host's settings; 0:
// no limit.
BytesPerSecond bandwidth_of(const Plan& plan);

// Its memory is copied while it works, and nobody knows how much of it the guest changes.
bool is_guest_unknown(const Scene& scene);

// "direct", "compress", ...: the move's own strategy.
std::string_view strategy_of(const Scene& scene);

}  // namespace drover::forecast
