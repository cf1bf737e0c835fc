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

struct SessionStatus {
  std::vector<std::uint32_t> links;  // numbers of those that are up
  std::uint64_t bytes_sent = 0;      // on the wire, TLS included
  std::uint64_t bytes_received = 0;
  std::vector<KindStatus> streams;
  std::chrono::milliseconds since_progress{0};
  bool finish_forwarded = false;
};

}  // namespace drover::mover
