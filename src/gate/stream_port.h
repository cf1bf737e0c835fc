// SPDX-License-Identifier: Apache-2.0
// One stream socket of a poll loop: reads and writes never wait, what cannot be written yet is
// queued. The owner stops reading elsewhere while full() says so, which bounds the queue to that
// and one packet more. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "base/unique_fd.h"
#include "gate/rpc_message.h"

namespace drover::gate {

class StreamPort {
 public:
  static constexpr std::size_t kReadBytes = 64 * 1024;
  static constexpr std::size_t kQueueBytesMax = 1 << 20;  // beyond, nothing more is read for it

  StreamPort() = default;
  explicit StreamPort(UniqueFd socket) : socket_(std::move(socket)) {}

  int fd() const { return socket_.get(); }
  bool is_open() const { return socket_.valid(); }
  bool full() const { return queue_.size() - begin_ >= kQueueBytesMax; }
  bool idle() const { return queue_.size() == begin_; }
  short wanted_events(bool read) const;

  enum class ReadEnd { kMore, kNothingYet, kClosed };
  // One recv(2): `out` is valid until the next call. Errors count as kClosed.
  ReadEnd read(std::span<const std::uint8_t>& out);
  void queue(std::span<const std::uint8_t> bytes);
  // Writes what can be written now; a broken connection drops the rest.
  void flush();
  // Closes when the queue is empty; what still comes in is not read.
  void close_when_written();
  bool is_closing() const { return closing_; }
  void close();

 private:
  UniqueFd socket_;
  Bytes queue_;
  std::size_t begin_ = 0;
  bool closing_ = false;
  Bytes buffer_;
};

}  // namespace drover::gate
