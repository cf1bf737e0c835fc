// SPDX-License-Identifier: Apache-2.0
// What a move will likely take, said before its first byte (docs/forecast.md). Plain values.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/byte_count.h"

namespace drover {

// A rate as it was measured some time ago.
struct AgedRate {
  BytesPerSecond rate;
  std::chrono::milliseconds age{0};
};

// By one strategy: the move's own, or another that the VM could take.
struct StrategyForecast {
  std::string strategy;  // "direct", "compress", "quick", "offline", "storage"
  ByteCount wire;        // both directions; 0: nothing goes over a network
  // From the move's beginning to its end, without the time in the queue or for a window; `likely`
  // is what is expected, the others are at most 40 % from it.
  std::chrono::milliseconds least{0}, likely{0}, most{0};
  std::chrono::milliseconds pause{0};  // of the guest; 0: it does not stand still
  unsigned converges_percent = 100;    // the chance that the move ends as the policy wants it
};

struct Forecast {
  std::vector<StrategyForecast> strategies;  // the move's own first, then what else there is
  // What it is made from; 0: not known, or no limit.
  // Memory that the guest changes, pages counted once a second; nothing: not known.
  std::optional<BytesPerSecond> dirty_rate;
  ByteCount dirty_set;  // what it changes again and again; 0: not known, or all that it uses
  std::chrono::milliseconds dirty_age{0};  // of both, when the forecast was made
  BytesPerSecond link_rate;                // of the plan's networks together, as measured
  std::chrono::milliseconds link_age{0};   // of link_rate, likewise
  BytesPerSecond bandwidth;        // that the move may take, by its request and the host's settings
  BytesPerSecond read_rate;        // of the source's disks
  BytesPerSecond write_rate;       // of the slowest place where disks land
  ByteCount memory;                // of the guest, that was ever used
  ByteCount disks;                 // allocated, to be copied
  ByteCount spared;                // of both, that the destination likely holds already
  unsigned learnt_from = 0;        // moves between these hosts that it was corrected by
  std::vector<std::string> notes;  // sentences: what could not be measured, what it leaves out
};

}  // namespace drover
