// SPDX-License-Identifier: Apache-2.0
// One TCP connection with TLS on it. OpenSSL sees memory only; sockets are read and written here, a
// quarter MiB at a time. One thread reads and one writes: the mutex covers the cipher work they
// share, never I/O.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/deadline.h"
#include "base/error.h"
#include "base/unique_fd.h"
#include "mover/psk.h"

namespace drover::mover {

// Bytes on the wire, all links of a session together.
struct WireBytes {
  std::atomic<std::uint64_t> sent{0};
  std::atomic<std::uint64_t> received{0};
  // How long senders waited for their sockets: the network, or the other side, is the slower one.
  std::atomic<std::uint64_t> waited_ns{0};
};

// What the kernel has counted of one connection (tcp_info in linux/tcp.h).
struct SocketUse {
  std::uint64_t acknowledged_bytes = 0;
  std::chrono::microseconds busy{0};  // with bytes on the way, or waiting to be
};

// Shakes hands with itself once, so that OpenSSL opens no file later on. Before the sandbox.
Status load_tls();

class TlsLink {
 public:
  // Takes the connected socket. `tls` and `wire` must outlive the link.
  static Result<std::unique_ptr<TlsLink>> open(const PskTls& tls, Role role, std::uint32_t number,
                                               UniqueFd socket, WireBytes& wire);
  ~TlsLink();

  // kTimeout, kUnauthenticated, kUnavailable (the connection ended).
  Status handshake(Deadline deadline);

  // Writer's thread: encrypts into a buffer, which is sent when it is large, or by flush().
  Status write(std::span<const std::uint8_t> bytes);
  Status flush();

  // Reader's thread: at least one byte; kTimeout when nothing came for `silence_max`; kUnavailable
  // at the end.
  Result<std::size_t> read(std::span<std::uint8_t> out, std::chrono::milliseconds silence_max);

  // Any thread: bytes on the wire so far, both directions.
  std::uint64_t carried() const { return carried_; }
  // Any thread: empty for what is no TCP connection.
  std::optional<SocketUse> use() const;
  // Any thread: makes both sides fail soon.
  void shut_down();

 private:
  struct Memory;  // what OpenSSL reads from and writes to

  TlsLink(UniqueFd socket, SslHandle ssl, WireBytes& wire);
  Status send_all(std::span<const std::uint8_t> bytes, Deadline deadline);
  Status receive_some(Deadline deadline);
  Status send_pending(Deadline deadline);
  Status change_key_if_due(std::size_t bytes);

  UniqueFd socket_;
  WireBytes& wire_;
  std::atomic<std::uint64_t> carried_{0};
  std::mutex mutex_;  // guards ssl_ and memory_->out
  std::unique_ptr<Memory> memory_;
  SslHandle ssl_;
  std::vector<std::uint8_t> sending_;  // the writer's own
  std::uint64_t bytes_under_key_ = 0;  // the writer's own
};

}  // namespace drover::mover
