// SPDX-License-Identifier: Apache-2.0
// The mover's end of its packet pair to the gate: docs/processes.md, "Over `gate`". Owns one thread
// that reads; any thread may call.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/deadline.h"
#include "base/error.h"
#include "base/unique_fd.h"
#include "mover/frame.h"
#include "net/unix_socket.h"

namespace drover::mover {

class GateChannel {
 public:
  enum class Event { kStandstill, kFinishForwarded, kSettled };

  // `on_event` runs on the reading thread and must not destroy the channel.
  GateChannel(UniqueFd socket, std::function<void(Event)> on_event);
  ~GateChannel();

  // Destination: a socket connected to QEMU. The gate's own error, kTimeout, or kUnavailable when
  // it is gone.
  Result<UniqueFd> open(StreamKind kind, StreamId stream, Deadline deadline);
  // Likewise, to QEMU's NBD server, for this mover's own reading.
  Result<UniqueFd> open_read_back(Deadline deadline);
  // Source: the memory stream begins. Lost if the gate is gone.
  void tell_memory_opened();
  // No event comes any more, calls fail; not from the handler.
  void stop();

 private:
  void read();
  void take(net::Packet packet);
  Result<UniqueFd> ask(std::string_view kind, StreamId number, Deadline deadline);
  Result<UniqueFd> opened(net::Packet packet);

  const UniqueFd socket_;
  const std::function<void(Event)> on_event_;
  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::map<StreamId, std::optional<net::Packet>> answers_;  // awaited by open()
  bool closed_ = false;
  StreamId next_read_back_ = 1u << 31;  // no stream has such a number
  std::jthread thread_;
};

}  // namespace drover::mover
