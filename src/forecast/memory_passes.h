// SPDX-License-Identifier: Apache-2.0
// How QEMU's passes over a working guest's memory come to an end, or do not (docs/convergence.md).
// Pure.
#pragma once

#include "model/convergence.h"

namespace drover::forecast {

// Seconds that QEMU's last pass may take, while the guest stands still (docs/convergence.md).
inline constexpr double kPauseLimit = 0.3;

// Bytes and seconds; fractions matter in sums.
struct MemoryScene {
  double used = 0;   // to be sent in the first pass
  double dirty = 0;  // changed in a second, as measured over one
  double set = 0;    // what is changed again and again; 0: all that is used
  double rate = 1;   // of the guest's bytes, as the road carries them; > 0
  // The road carries pages that are sent again as they were for next to nothing.
  bool skips_unchanged = true;
  Convergence convergence;
};

struct MemoryCopy {
  double seconds = 0;    // until the guest stands still, or the move is given up
  double sent = 0;       // of the guest's bytes, again included, but for those as they were
  double left = 0;       // when it stands still: what the pause has to carry
  double last = 0;       // seconds that it takes for that
  double converges = 1;  // the chance that it ends as the policy wants it, 0 to 1
  bool ends_by_itself =
      true;  // false: somebody has to decide; `seconds` is then the time till that
};

// What the guest has changed after so long: pages that it changes twice count once.
double dirtied_in(const MemoryScene& scene, double seconds);

// Of the pages that changed within a pass of so many seconds, the share that it sent after they had
// changed: the next pass sends them as they were. `part`: of all that the guest changes, what the
// pass sent.
double unchanged_after(const MemoryScene& scene, double seconds, double part);

MemoryCopy copy_memory(const MemoryScene& scene);

}  // namespace drover::forecast
