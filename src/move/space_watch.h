// SPDX-License-Identifier: Apache-2.0
// Asks a move's destination, twice a second, how much room is left where its disks land
// (docs/space.md). It asks on a thread of its own: a destination that is slow to answer holds
// nothing up. Any thread.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "move/peer_messages.h"
#include "net/peer_transport.h"

namespace drover::move {

class SpaceWatch {
 public:
  SpaceWatch(net::PeerTransport& peers, std::string destination, std::string move_id);

  // The last answer. Nothing: there is none yet, or none came for 10 s, so that nothing is known.
  std::optional<SpaceReply> last() const;
  // Asks no more; returns at once. The destructor waits for a question that is under way, 3 s at
  // most.
  void stop() { asker_.request_stop(); }

 private:
  void ask(const std::stop_token& stop);

  net::PeerTransport& peers_;
  const std::string destination_, move_id_;
  mutable std::mutex mutex_;  // guards both
  std::optional<SpaceReply> last_;
  Deadline good_until_ = Deadline::after(std::chrono::milliseconds(0));
  std::condition_variable_any pause_;
  std::jthread asker_;
};

}  // namespace drover::move
