// SPDX-License-Identifier: Apache-2.0
// How to compress, chosen anew each second from what is measured: how fast the links take bytes,
// how much processor is to spare, how fast each way packs and what it saves
// (docs/mover_protocol.md, "How to compress"). Any thread; its own mutex is a leaf.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>

#include "content/batch.h"

namespace drover::mover {

// The ways there are, cheapest first.
inline constexpr std::array<content::Compression, 6> kPackWays{{
    {content::Compression::kNone, 0},
    {content::Compression::kLz4, 1},
    {content::Compression::kZstd, 1},
    {content::Compression::kRunningZstd, 2},
    {content::Compression::kRunningZstd, 3},
    {content::Compression::kRunningZstd, 7},
}};
inline constexpr std::size_t kNoPacking = 0;
// One worker at a time packs a stream by it.
constexpr bool is_running(std::size_t way) {
  return kPackWays[way].method == content::Compression::kRunningZstd;
}

// What one way does with the bytes of late.
struct PackTrial {
  double bytes_per_second = 0;  // of one processor; in bytes before packing
  double ratio = 1;             // after packing to before
};
using PackTrials = std::array<PackTrial, kPackWays.size()>;

// What links took.
struct Sent {
  std::uint64_t bytes = 0;
  std::chrono::nanoseconds busy{0};     // with bytes on the way, in buffers of the kernel too
  std::chrono::nanoseconds handing{0};  // to their sockets
  std::chrono::nanoseconds waited{0};   // of this, until the sockets took more
  std::size_t links = 1;
};

struct Road {
  double link_bytes_per_second = 0;    // all links together, or the limit; 0: not known yet
  double processors = 1;               // that packing may use
  double supply_bytes_per_second = 0;  // what the encoder can give at most; 0: not known yet
  double lane = 0.5;                   // of a processor, that the one worker of a running way gets
};

// Pure: the way by which most bytes come through, where packing and sending go on side by side.
// `now` stays unless another is clearly better; of equals the cheapest.
std::size_t best_way(const PackTrials& trials, const Road& road, std::size_t now);

class PackChoice {
 public:
  using Clock = std::chrono::steady_clock;

  // `workers` pack at once. `fixed`: this way always (tests, the bench). `told`: what the links
  // together were measured at before the move; it counts until they show what they carry. 0: nobody
  // measured.
  explicit PackChoice(unsigned workers, std::optional<std::size_t> fixed = {},
                      std::uint64_t told_bytes_per_second = 0);

  std::size_t way() const;
  // How many bytes, before packing, come through in a second by that way; 0: not known yet.
  double throughput() const;
  // The links have carried more than a slow link can, and were not the slowest: what is spared
  // them is not worth what it costs.
  bool links_are_fast() const;
  // It is time for try_all(). True for one caller per interval.
  bool trial_due(Clock::time_point now);
  // Packs a part of the batch in all ways and chooses; takes some milliseconds.
  void try_all(const content::Batch& batch, Clock::time_point now);

  void sent(const Sent& sent);
  // The encoder gave so many bytes to pack within this processor time.
  void encoded(std::uint64_t bytes, std::chrono::nanoseconds processor_time);
  // 0: none.
  void limit(std::uint64_t bytes_per_second);
  // A worker packed: processor time that it used, and how long that took.
  void packed_for(std::chrono::nanoseconds processor_time, std::chrono::nanoseconds span);
  // It was by a running way, so many bytes before packing.
  void ran(std::size_t way, std::uint64_t bytes, std::chrono::nanoseconds span);

 private:
  void measure_links(Clock::time_point now);
  bool shown_fast() const;
  void measure_supply();
  void measure_share();
  void measure_lane();
  double spare_processors(Clock::time_point now);

  const unsigned workers_;
  const bool fixed_;
  mutable std::mutex mutex_;  // guards all below
  std::size_t way_;
  Clock::time_point next_trial_{};
  PackTrials trials_{};
  unsigned trials_made_ = 0;
  double share_ = 1;  // processor time got of the time wanted
  double lane_ = Road{}.lane;
  double link_bytes_per_second_ = 0;   // 0: never found to be the slowest
  bool link_was_told_ = false;         // and is not confirmed yet
  double shown_bytes_per_second_ = 0;  // carried in fact, of late: all time counts, idle or not
  bool links_are_slowest_ = false;
  double supply_bytes_per_second_ = 0;
  double throughput_ = 0;
  std::uint64_t limit_bytes_per_second_ = 0;
  // Of the running interval.
  Sent sent_;
  Clock::time_point sent_since_{};
  std::uint64_t encoded_bytes_ = 0;
  std::chrono::nanoseconds encoding_{0};
  std::chrono::nanoseconds packing_{0};
  std::chrono::nanoseconds packing_span_{0};
  struct Ran {
    std::uint64_t bytes = 0;
    std::chrono::nanoseconds span{0};
  };
  std::array<Ran, kPackWays.size()> ran_{};
  Clock::time_point measured_at_{};
  std::chrono::nanoseconds process_time_{0};  // as it was then
};

}  // namespace drover::mover
