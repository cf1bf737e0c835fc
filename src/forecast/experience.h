// SPDX-License-Identifier: Apache-2.0
// What moves between two hosts are like: at first what is usual, then what those before have shown.
// Pure; the journal's moves come in, nothing is kept.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string_view>

#include "forecast/scene.h"

namespace drover::forecast {

// Rates in bytes a second of what the guest has, times in seconds.
struct Experience {
  unsigned moves = 0;        // it was learnt from
  double rest = 0.5;         // of a move, in which nothing is copied; the proof apart
  double disk_rate = 330e6;  // where neither link nor disks are slower
  bool disks_shown = false;  // moves have shown disk_rate: what a short measurement says is less
  double memory_rate = 450e6;
  double zero_rate = 2e9;    // over memory that was never written
  double proof_rate = 5e9;   // of the disks, after the switch
  double link_use = 0.93;    // of what the link was measured at
  double packs = 1;          // what compression leaves of the guest's content, to what is usual
  double used_factor = 0.8;  // of the memory that QEMU holds, what is more than zeroes
  double pause = 0.15;       // of the guest, beyond what its last pages take
  double spread = 0.35;      // how far off forecasts may be
};

// Bytes on the wire for one of the guest's that has to travel, where the mover compresses: it takes
// its time on a slow link and none on one that is faster than the processor, whatever the content.
double wire_share(double link, double packs);

// Before any move.
Experience usual(const Scene& scene);

// From moves of this source, the newest first, of which those count that have ended well, went to
// this destination, and are of the scene's kind and strategy: the newest eight of them. Those of
// the same VM are believed more. How much of its memory it uses is learnt from any strategy.
Experience learn(const Scene& scene, std::string_view destination, std::string_view vm_uuid,
                 std::span<const Move> moves);

// How long a move worked, from the end of its phase plan; nothing: it has not ended.
std::optional<std::chrono::milliseconds> time_worked(const Move& move);

}  // namespace drover::forecast
