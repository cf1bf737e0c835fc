// SPDX-License-Identifier: Apache-2.0
// A peer that has the key and does not keep to the protocol: what a destination's session makes of
// each frame in each state of a stream (docs/mover_protocol.md, "Streams").
#include <condition_variable>
#include <mutex>

#include <gtest/gtest.h>

#include "base/big_endian.h"
#include "mover/frame_reader.h"
#include "mover/limits.h"
#include "mover/session_fixture.h"
#include "mover/tls_link.h"

namespace drover::mover {
namespace {

using namespace std::chrono_literals;

constexpr StreamId kOpenStream = 2;
constexpr StreamId kRefusedStream = 3;
constexpr StreamId kOpeningStream = 4;  // its gate never answers
constexpr StreamId kUnknownStream = 9;

Deadline limit() { return Deadline::after(60s); }

// A destination's session and a source made by hand.
class Peer {
 public:
  Peer() {
    const SessionOptions options{.role = Role::kDestination, .identity = "drover-move test aa bb"};
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
  void greet(std::uint32_t number, std::uint64_t session,
             std::uint16_t version = kProtocolVersion) {
    std::array<std::uint8_t, kHelloBytes> payload;
    encode_hello({.version = version,
                  .role = Role::kSource,
                  .link = static_cast<std::uint16_t>(number),
                  .session = session,
                  .window_bytes = kWindowMin},
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
      const auto n = link_->read(reader_.space(), 60s);
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
  bool is_alive() {
    send({.type = FrameType::kPing, .offset = 77});
    const auto pong = receive(FrameType::kPong);
    return pong && pong->header.offset == 77;
  }

  ToldEvents told;

 private:
  Result<UniqueFd> open(StreamId id) {
    if (id == kRefusedStream) return fail(ErrorCode::kNotFound, "QEMU does not listen.");
    std::unique_lock lock(mutex_);
    if (id == kOpeningStream) changed_.wait(lock, [&] { return released_; });
    auto pair = *net::socket_pair(net::SocketKind::kStream);
    far_end_ = std::move(pair.second);
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
  UniqueFd far_end_;
};

struct Case {
  const char* name;
  FrameHeader header;
  bool survives;
};

std::vector<Case> cases() {
  const auto data = [](StreamId id, std::uint64_t offset) {
    return FrameHeader{
        .type = FrameType::kData, .stream = id, .offset = offset, .length = 1, .raw_length = 1};
  };
  const auto plain = [](FrameType type, StreamId id) {
    return FrameHeader{.type = type, .stream = id};
  };
  const auto answer = [](StreamId id) {
    return FrameHeader{.type = FrameType::kOpened, .flags = kOpenedYes, .stream = id};
  };
  return {
      {"HELLO again", {.type = FrameType::kHello, .length = kHelloBytes}, false},
      {"REFUSED", {.type = FrameType::kRefused, .length = 2}, false},
      {"PONG unasked", {.type = FrameType::kPong, .offset = 1}, true},
      {"OPEN again", {.type = FrameType::kOpen, .flags = 2, .stream = kOpenStream}, true},
      {"OPEN again, refused",
       {.type = FrameType::kOpen, .flags = 2, .stream = kRefusedStream},
       true},
      {"OPEN again, opening",
       {.type = FrameType::kOpen, .flags = 3, .stream = kOpeningStream},
       true},
      {"OPEN of another kind",
       {.type = FrameType::kOpen, .flags = 3, .stream = kOpenStream},
       false},
      {"OPEN far ahead", {.type = FrameType::kOpen, .flags = 2, .stream = 200}, false},
      {"OPENED by the source", answer(kOpenStream), false},
      {"OPENED of rpc", answer(kUnknownStream), false},
      {"DATA, rpc", data(kRpcStream, 0), true},
      {"DATA, open", data(kOpenStream, 0), true},
      {"DATA, gap", data(kOpenStream, 1000), true},
      {"DATA, beyond the window", data(kOpenStream, 16 << 20), false},
      {"DATA, opening", data(kOpeningStream, 0), false},
      {"DATA, refused", data(kRefusedStream, 0), false},
      {"DATA, unknown", data(kUnknownStream, 0), false},
      {"FIN, open", plain(FrameType::kFin, kOpenStream), true},
      {"FIN, opening", plain(FrameType::kFin, kOpeningStream), false},
      {"FIN, refused", plain(FrameType::kFin, kRefusedStream), false},
      {"FIN, unknown", plain(FrameType::kFin, kUnknownStream), false},
      {"STOP, open", plain(FrameType::kStop, kOpenStream), true},
      {"STOP, opening", plain(FrameType::kStop, kOpeningStream), false},
      {"STOP, refused", plain(FrameType::kStop, kRefusedStream), false},
      {"STOP, unknown", plain(FrameType::kStop, kUnknownStream), false},
      {"ACK of nothing, open", plain(FrameType::kAck, kOpenStream), true},
      {"ACK of bytes never sent",
       {.type = FrameType::kAck, .stream = kOpenStream, .offset = 1},
       false},
      {"ACK of FIN never sent",
       {.type = FrameType::kAck, .flags = kAckFinApplied, .stream = kOpenStream},
       false},
      {"ACK, opening", plain(FrameType::kAck, kOpeningStream), false},
      {"ACK, refused", plain(FrameType::kAck, kRefusedStream), false},
      {"ACK, unknown", plain(FrameType::kAck, kUnknownStream), false},
  };
}

TEST(SessionPeer, EachFrameInEachStateSurvivesOrEndsTheSession) {
  for (const Case& tried : cases()) {
    SCOPED_TRACE(tried.name);
    Peer peer;
    peer.establish();
    const std::vector<std::uint8_t> payload(tried.header.length);
    peer.send(tried.header, payload);
    EXPECT_EQ(peer.is_alive(), tried.survives);
    if (!tried.survives) {
      EXPECT_EQ(peer.told.wait_end(limit()), SessionEnd::kGaveUp);
      EXPECT_EQ(peer.told.why().code, ErrorCode::kProtocol) << peer.told.why().text();
    }
  }
}

TEST(SessionPeer, UnknownVersionIsAnsweredWithTheKnownOnes) {
  Peer peer;
  peer.connect(1);
  peer.greet(1, 5, 9);
  const auto refused = peer.receive(FrameType::kRefused);
  ASSERT_TRUE(refused);
  ASSERT_EQ(refused->payload.size, 2u);
  EXPECT_EQ(load_be<std::uint16_t>(refused->payload.bytes.get()), kProtocolVersion);
  EXPECT_FALSE(peer.receive(FrameType::kHello)) << "the link is closed";
}

TEST(SessionPeer, AnotherProcessCannotTakeTheSessionOver) {
  Peer peer;
  peer.establish();
  peer.connect(2);
  peer.greet(2, 6);
  EXPECT_FALSE(peer.is_alive()) << "the link is closed, the session waits for its own peer";
}

TEST(SessionPeer, LinkNumberInHelloMustBeTheProvenOne) {
  Peer peer;
  peer.connect(1);
  peer.greet(2, 5);
  EXPECT_FALSE(peer.receive(FrameType::kHello));
}

TEST(SessionPeer, SilentStrangersAreBoundedInNumber) {
  Session session({.role = Role::kDestination, .identity = "i"}, key_of(7), {}, nullptr);
  std::vector<UniqueFd> strangers;
  for (std::size_t i = 0; i <= kHandshakesMax; ++i) {
    auto pair = *net::socket_pair(net::SocketKind::kStream);
    const auto added = session.add_link(1, std::move(pair.second));
    EXPECT_EQ(added.has_value(), i < kHandshakesMax);
    strangers.push_back(std::move(pair.first));
  }
}

}  // namespace
}  // namespace drover::mover
