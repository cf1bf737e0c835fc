// SPDX-License-Identifier: Apache-2.0
// For tests: a destination's session, and a source made by hand that says whatever the test wants.
// One thread.
#pragma once

#include <condition_variable>
#include <mutex>

#include <gtest/gtest.h>

#include "content/batch.h"
#include "mover/frame_reader.h"
#include "mover/limits.h"
#include "mover/session_fixture.h"
#include "mover/tls_link.h"

namespace drover::mover {

inline constexpr StreamId kOpenStream = 2;
inline constexpr StreamId kRefusedStream = 3;
inline constexpr StreamId kOpeningStream = 4;  // its gate never answers
inline constexpr StreamId kUnknownStream = 9;

inline Deadline limit() { return Deadline::after(std::chrono::seconds(60)); }

// A destination's session and a source made by hand.
class Peer {
 public:
  explicit Peer(std::shared_ptr<HeldFiles> held = {}) {
    SessionOptions options;
    options.held = std::move(held);
    options.role = Role::kDestination;
    options.identity = "drover-move test aa bb";
    session_ = std::make_unique<Session>(options, key_of(7), told.events(),
                                         [this](StreamKind, StreamId id) { return open(id); });
    auto pair = *net::socket_pair(net::SocketKind::kStream);
    rpc_ = std::move(pair.second);
    session_->start_rpc(std::move(pair.first));
  }
  ~Peer() {
    {
      const std::lock_guard lock(mutex_);
      released_ = true;
      changed_.notify_all();
    }
    session_.reset();
  }

  // A new link on which TLS is done and nothing is said.
  void connect(std::uint32_t number) {
    auto pair = *net::socket_pair(net::SocketKind::kStream);
    ASSERT_TRUE(session_->add_link(number, std::move(pair.second)));
    link_ = std::move(*TlsLink::open(tls_, Role::kSource, number, std::move(pair.first), wire_));
    ASSERT_TRUE(link_->handshake(limit()));
    reader_ = FrameReader(pool_);
  }
  void greet(std::uint32_t number, std::uint64_t session, std::uint16_t version = kProtocolVersion,
             std::uint16_t content = kContentVersion, bool takes_held = false) {
    std::array<std::uint8_t, kHelloBytes> payload;
    encode_hello({.version = version,
                  .role = Role::kSource,
                  .link = static_cast<std::uint16_t>(number),
                  .session = session,
                  .window_bytes = kWindowMin,
                  .content = content,
                  .takes_held = takes_held},
                 payload);
    send({.type = FrameType::kHello, .length = kHelloBytes}, payload);
  }
  void send(const FrameHeader& header, std::span<const std::uint8_t> payload = {}) {
    std::array<std::uint8_t, kFrameHeaderBytes> bytes;
    encode_header(header, bytes);
    static_cast<void>(link_->write(bytes));
    static_cast<void>(link_->write(payload));
    static_cast<void>(link_->flush());
  }
  // The next frame of that type; nothing when the link ends first.
  std::optional<Frame> receive(FrameType type) {
    while (true) {
      const auto n = link_->read(reader_.space(), std::chrono::seconds(60));
      if (!n) return {};
      auto frame = reader_.filled(*n);
      if (!frame) return {};
      if (*frame && (*frame)->header.type == type) return std::move(**frame);
    }
  }
  // Up, with streams 2, 3 and 4 in their states.
  void establish() {
    connect(1);
    greet(1, 5);
    ASSERT_TRUE(receive(FrameType::kHello));
    for (const StreamId id : {kOpenStream, kRefusedStream}) {
      send({.type = FrameType::kOpen, .flags = 2, .stream = id});
      ASSERT_TRUE(receive(FrameType::kOpened));
    }
    send({.type = FrameType::kOpen, .flags = 3, .stream = kOpeningStream});
  }
  void standstill() { session_->standstill(); }
  // The link that was used so far; say no more on it.
  std::unique_ptr<TlsLink> put_aside() { return std::move(link_); }
  bool is_alive() {
    send({.type = FrameType::kPing, .offset = 77});
    const auto pong = receive(FrameType::kPong);
    return pong && pong->header.offset == 77;
  }

  // A batch, as PACKED at `offset` of the open stream.
  void send_batch(std::uint64_t offset, const content::Batch& batch, std::uint32_t raw_length,
                  std::uint8_t flags = 0) {
    const auto payload = content::pack(batch, {content::Compression::kZstd, 1});
    send({.type = FrameType::kPacked,
          .flags = flags,
          .stream = kOpenStream,
          .offset = offset,
          .length = static_cast<std::uint32_t>(payload.size()),
          .raw_length = raw_length},
         payload);
  }

  ToldEvents told;
  UniqueFd far_end;  // QEMU's, of the open stream; set before OPENED is said

 private:
  Result<UniqueFd> open(StreamId id) {
    if (id == kRefusedStream) return fail(ErrorCode::kNotFound, "QEMU does not listen.");
    std::unique_lock lock(mutex_);
    if (id == kOpeningStream) changed_.wait(lock, [&] { return released_; });
    auto pair = *net::socket_pair(net::SocketKind::kStream);
    if (id == kOpenStream) far_end = std::move(pair.second);
    return std::move(pair.first);
  }

  const PskTls tls_{key_of(7), "drover-move test aa bb"};
  WireBytes wire_;
  const std::shared_ptr<ChunkPool> pool_ = std::make_shared<ChunkPool>();
  FrameReader reader_{pool_};
  std::unique_ptr<TlsLink> link_;
  std::unique_ptr<Session> session_;
  UniqueFd rpc_;

  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  bool released_ = false;
};

}  // namespace drover::mover
