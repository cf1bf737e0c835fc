// SPDX-License-Identifier: Apache-2.0
// What a session can say about itself. Plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "mover/frame.h"

namespace drover::mover {

struct KindStatus {
  StreamKind kind = StreamKind::kInvalid;
  std::uint64_t opened = 0;              // ever
  std::uint64_t open = 0;                // now
  std::uint64_t sent_bytes = 0;          // taken from the local sockets
  std::uint64_t acknowledged_bytes = 0;  // of these, applied by the other side
  std::uint64_t received_bytes = 0;      // written to the local sockets
};

// How what the streams of memory and disks said travelled; what was sent again after a link was
// lost counts again. Source: all of it; destination: misses only.
struct ContentCounts {
  std::uint64_t data_bytes = 0;     // raw, sent as they are
  std::uint64_t packed_bytes = 0;   // raw, covered by PACKED frames
  std::uint64_t payload_bytes = 0;  // of these frames
  std::uint64_t misses = 0;
  // Pages of 4 KiB, and bytes that were sent inline before compression.
  std::uint64_t zero_pages = 0;
  std::uint64_t same_pages = 0;
  std::uint64_t cached_pages = 0;
  std::uint64_t disk_pages = 0;
  std::uint64_t held_blocks = 0;   // of memory and disks: found in files of an earlier move
  std::uint64_t group_blocks = 0;  // likewise: in images of VMs of the group
  std::uint64_t literal_pages = 0;
  std::uint64_t resent_pages = 0;
  std::uint64_t literal_bytes = 0;
};

struct CarriedBytes {
  std::uint32_t number = 0;  // of one link after the other
  std::uint64_t bytes = 0;   // both directions, TLS included
};

struct SessionStatus {
  std::vector<std::uint32_t> links;   // numbers of those that are up
  std::vector<CarriedBytes> carried;  // by each number that was ever used
  bool saturated = false;             // a link's writer used most of a processor in its last second
  std::uint64_t bytes_sent = 0;       // on the wire, TLS included
  std::uint64_t bytes_received = 0;
  std::vector<KindStatus> streams;
  ContentCounts content;
  std::uint32_t pack_way = 0;  // of kPackWays, now
  std::chrono::milliseconds since_progress{0};
  bool finish_forwarded = false;
};

}  // namespace drover::mover
