// SPDX-License-Identifier: Apache-2.0
// A host's bandwidth, shared by the moves that leave it. Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "base/byte_count.h"

namespace drover::move {

// Pure. Each gets an equal part, or its own limit where that is less; what those leave is shared by
// the others. 0 as `total`, limit or share: none. As many shares as limits, none of them 0 if
// `total` is not.
std::vector<BytesPerSecond> fair_shares(BytesPerSecond total,
                                        const std::vector<BytesPerSecond>& limits);

class Bandwidth {
 public:
  // One move that leaves this host, as long as it is there.
  class Part {
   public:
    Part(Bandwidth& bandwidth, BytesPerSecond limit);
    ~Part();
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;

    // What this move may send now, where all of them may send `total`. 0: no limit.
    BytesPerSecond share(BytesPerSecond total) const;

   private:
    Bandwidth& bandwidth_;
    std::uint64_t number_ = 0;
  };

 private:
  std::mutex mutex_;  // guards all below
  std::map<std::uint64_t, BytesPerSecond> limits_;
  std::uint64_t last_ = 0;
};

}  // namespace drover::move
