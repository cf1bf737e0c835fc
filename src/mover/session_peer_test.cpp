// SPDX-License-Identifier: Apache-2.0
// A peer that has the key and does not keep to the protocol: what a destination's session makes of
// each frame in each state of a stream (docs/mover_protocol.md, "Streams").
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "content/ops.h"
#include "content/veiled_name.h"
#include "mover/limits.h"
#include "mover/session_peer_fixture.h"

namespace drover::mover {
namespace {

using namespace std::chrono_literals;

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
  const auto packed = [](StreamId id, std::uint64_t offset) {
    return FrameHeader{
        .type = FrameType::kPacked, .stream = id, .offset = offset, .length = 9, .raw_length = 5};
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
      {"PACKED, gap", packed(kOpenStream, 1000), true},
      {"PACKED, opening", packed(kOpeningStream, 0), false},
      {"PACKED, refused", packed(kRefusedStream, 0), false},
      {"PACKED, unknown", packed(kUnknownStream, 0), false},
      {"MISS by the source",
       {.type = FrameType::kMiss, .stream = kOpenStream, .raw_length = 1},
       false},
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

std::string text_from(int fd, std::size_t bytes) {
  std::string text(bytes, '\0');
  std::size_t done = 0;
  while (done < bytes) {
    const ssize_t n = ::recv(fd, text.data() + done, bytes - done, 0);
    if (n <= 0) break;
    done += static_cast<std::size_t>(n);
  }
  text.resize(done);
  return text;
}

content::Batch literal(std::string_view text) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  return content::literal_batch({bytes, text.size()});
}

// A page of the receiver's cache, which holds none.
content::Batch reference() {
  content::Batch batch;
  content::append_op(batch.ops, {.kind = content::OpKind::kCachedPage,
                                 .mode = content::HeaderMode::kAt,
                                 .page = 5,
                                 .where = 1});
  return batch;
}
constexpr std::uint32_t kRecordBytes = 8 + 4096;

TEST(SessionPeer, PackedBytesReachTheSocketInOrder) {
  Peer peer;
  peer.establish();
  peer.send_batch(5, literal("world"), 5);
  peer.send_batch(0, literal("hello"), 5);
  EXPECT_EQ(text_from(peer.far_end.get(), 10), "helloworld");
  const auto ack = peer.receive(FrameType::kAck);
  EXPECT_TRUE(ack);
}

TEST(SessionPeer, AMissIsAskedForAndMended) {
  Peer peer;
  peer.establish();
  peer.send_batch(0, reference(), kRecordBytes);
  peer.send_batch(kRecordBytes, literal("next"), 4);
  const auto miss = peer.receive(FrameType::kMiss);
  ASSERT_TRUE(miss);
  EXPECT_EQ(miss->header.stream, kOpenStream);
  EXPECT_EQ(miss->header.offset, 0u);
  EXPECT_EQ(miss->header.raw_length, kRecordBytes);
  peer.send_batch(0, reference(), kRecordBytes);
  EXPECT_TRUE(peer.is_alive()) << "the missed frame once more is a duplicate";
  const std::string record(kRecordBytes, 'r');
  peer.send_batch(0, literal(record), kRecordBytes, kPackedLiteral);
  EXPECT_EQ(text_from(peer.far_end.get(), kRecordBytes + 4), record + "next");
}

TEST(SessionPeer, AMissIsSaidAgainAfterItsLinkWasLost) {
  Peer peer;
  peer.establish();
  peer.send_batch(0, reference(), kRecordBytes);
  ASSERT_TRUE(peer.receive(FrameType::kMiss));
  peer.connect(2);
  peer.greet(2, 5);
  ASSERT_TRUE(peer.receive(FrameType::kMiss));
  const std::string record(kRecordBytes, 'r');
  peer.send_batch(0, literal(record), kRecordBytes, kPackedLiteral);
  EXPECT_EQ(text_from(peer.far_end.get(), kRecordBytes), record);
}

struct Broken {
  const char* name;
  std::vector<std::uint8_t> payload;
  std::uint32_t raw_length;
  std::uint8_t flags;
};

TEST(SessionPeer, WhatCannotBeDecodedEndsTheSessionAndReachesNoSocket) {
  auto wrong = content::pack(literal(std::string(3000, 'x')), {content::Compression::kZstd, 1});
  wrong.back() ^= 1;
  const auto truth = content::pack(literal("hello"), {});
  for (const Broken& tried : {
           Broken{"noise", std::vector<std::uint8_t>(9), 5, 0},
           Broken{"compressed bytes are damaged", wrong, 3000, 0},
           Broken{"covers less than it says", truth, 6, 0},
           Broken{"covers more than it says", truth, 4, 0},
           Broken{"a reference that is said to be none", content::pack(reference(), {}),
                  kRecordBytes, kPackedLiteral},
       }) {
    SCOPED_TRACE(tried.name);
    Peer peer;
    peer.establish();
    peer.send({.type = FrameType::kPacked,
               .flags = tried.flags,
               .stream = kOpenStream,
               .length = static_cast<std::uint32_t>(tried.payload.size()),
               .raw_length = tried.raw_length},
              tried.payload);
    EXPECT_EQ(peer.told.wait_end(limit()), SessionEnd::kGaveUp);
    EXPECT_EQ(peer.told.why().code, ErrorCode::kProtocol) << peer.told.why().text();
    EXPECT_EQ(text_from(peer.far_end.get(), 1), "");
  }
}

TEST(SessionPeer, TheVersionBeforeIsSpokenWithoutContent) {
  Peer peer;
  peer.connect(1);
  peer.greet(1, 5, 1, kNoContent);
  const auto answer = peer.receive(FrameType::kHello);
  ASSERT_TRUE(answer);
  const auto hello = decode_hello(answer->payload.view());
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->version, 1);
  EXPECT_EQ(hello->content, kNoContent);
  peer.send({.type = FrameType::kOpen, .flags = 2, .stream = kOpenStream});
  ASSERT_TRUE(peer.receive(FrameType::kOpened));
  peer.send_batch(0, literal("hello"), 5);
  EXPECT_EQ(peer.told.wait_end(limit()), SessionEnd::kGaveUp);
}

TEST(SessionPeer, TheContentBeforeIsTaken) {
  Peer peer;
  peer.connect(1);
  peer.greet(1, 5, kProtocolVersion, kContentOldest);
  const auto answer = peer.receive(FrameType::kHello);
  ASSERT_TRUE(answer);
  const auto hello = decode_hello(answer->payload.view());
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->content, kContentOldest);
}

TEST(SessionPeer, LinksOfASessionAgreeOnTheSameContent) {
  Peer peer;
  peer.establish();
  peer.connect(2);
  peer.greet(2, 5, kProtocolVersion, kNoContent);
  static_cast<void>(peer.receive(FrameType::kHello));
  EXPECT_FALSE(peer.is_alive());
}

TEST(SessionPeer, UnknownVersionIsAnsweredWithTheKnownOnes) {
  Peer peer;
  peer.connect(1);
  peer.greet(1, 5, 9);
  const auto refused = peer.receive(FrameType::kRefused);
  ASSERT_TRUE(refused);
  ASSERT_EQ(refused->payload.size, 2 * kKnownVersions.size());
  EXPECT_EQ(newest_common_version(refused->payload.view()), kProtocolVersion);
  EXPECT_FALSE(peer.receive(FrameType::kHello)) << "the link is closed";
}

TEST(SessionPeer, ASilentLinkIsMissedSoonerWhileTheGuestStandsStill) {
  Peer peer;
  peer.establish();
  peer.standstill();
  const Deadline usual = Deadline::after(kSilenceMax);
  EXPECT_TRUE(peer.receive(FrameType::kPing)) << "it asks at once";
  EXPECT_TRUE(peer.receive(FrameType::kPing));
  EXPECT_FALSE(peer.receive(FrameType::kPong)) << "the link ends";
  EXPECT_FALSE(usual.expired());
}

TEST(SessionPeer, ASilentLinkIsMissedSoonerWhileAnotherOneSpeaks) {
  Peer peer;
  peer.establish();
  const Deadline usual = Deadline::after(kSilenceMax);
  const auto silent = peer.put_aside();
  peer.connect(2);
  peer.greet(2, 5);
  ASSERT_TRUE(peer.receive(FrameType::kHello));
  std::jthread speaking([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const auto asked = peer.receive(FrameType::kPing);
      if (!asked) return;
      peer.send({.type = FrameType::kPong, .offset = asked->header.offset});
    }
  });
  std::array<std::uint8_t, 4096> bytes;
  while (silent->read(bytes, 60s)) {
  }
  EXPECT_FALSE(usual.expired());
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
  SessionOptions options;
  options.role = Role::kDestination;
  options.identity = "i";
  Session session(options, key_of(7), {}, nullptr);
  std::vector<UniqueFd> strangers;
  for (std::size_t i = 0; i <= kHandshakesMax; ++i) {
    auto pair = *net::socket_pair(net::SocketKind::kStream);
    const auto added = session.add_link(1, std::move(pair.second));
    EXPECT_EQ(added.has_value(), i < kHandshakesMax);
    strangers.push_back(std::move(pair.first));
  }
}

// Of a destination that holds one file.
struct HoldingPeer : Peer {
  explicit HoldingPeer(bool of_group = false) : Peer(one_file(of_group)) {}
  static std::shared_ptr<HeldFiles> one_file(bool of_group) {
    std::vector<UniqueFd> files;
    files.emplace_back(::memfd_create("held", MFD_CLOEXEC));
    const std::vector<std::uint8_t> block(content::kBlockBytes, 3);
    EXPECT_EQ(::write(files[0].get(), block.data(), block.size()),
              static_cast<ssize_t>(block.size()));
    if (of_group) return std::make_shared<HeldFiles>(std::vector<UniqueFd>(), std::move(files));
    return std::make_shared<HeldFiles>(std::move(files));
  }
  // The name of its one block, as it is said.
  content::Name said_name() {
    content::Name name{};
    EXPECT_TRUE(is_told(kContentVersion, true));
    send({.type = FrameType::kOpen,
          .flags = static_cast<std::uint8_t>(StreamKind::kHeld),
          .stream = 2});
    const auto named = receive(FrameType::kData);
    EXPECT_TRUE(named && named->header.length == 32);
    if (named) std::ranges::copy(named->payload.view().subspan(16, 16), name.begin());
    return name;
  }
  bool is_told(std::uint16_t content, bool takes_held) {
    connect(1);
    greet(1, 5, kProtocolVersion, content, takes_held);
    const auto answer = receive(FrameType::kHello);
    EXPECT_TRUE(answer);
    return answer && decode_hello(answer->payload.view())->holds;
  }
};

TEST(SessionPeer, OnlyASourceThatTakesItIsToldOfHeldContent) {
  EXPECT_TRUE(HoldingPeer().is_told(kContentVersion, true));
  EXPECT_FALSE(HoldingPeer().is_told(kContentVersion, false)) << "an older program";
  EXPECT_FALSE(HoldingPeer().is_told(kNoContent, true));
}

TEST(SessionPeer, WhatOtherVmsHoldIsNamedByVeiledNamesOnly) {
  const content::Name plain = HoldingPeer().said_name();
  EXPECT_EQ(HoldingPeer(true).said_name(), content::veiled(plain));
}

constexpr std::uint8_t kHeldKind = static_cast<std::uint8_t>(StreamKind::kHeld);

TEST(SessionPeer, HeldContentIsNamedOnceAndNothingIsTakenForIt) {
  HoldingPeer peer;
  ASSERT_TRUE(peer.is_told(kContentVersion, true));
  peer.send({.type = FrameType::kOpen, .flags = kHeldKind, .stream = 2});
  EXPECT_EQ(peer.receive(FrameType::kOpened)->header.flags, kOpenedYes);
  const auto named = peer.receive(FrameType::kData);
  ASSERT_TRUE(named);
  EXPECT_EQ(named->header.length, 32u) << "one run of one block";
  peer.send({.type = FrameType::kOpen, .flags = kHeldKind, .stream = 3});
  EXPECT_EQ(peer.receive(FrameType::kOpened)->header.flags, kOpenedNo);
  const std::array<std::uint8_t, 1> byte{1};
  peer.send({.type = FrameType::kData, .stream = 2, .length = 1, .raw_length = 1}, byte);
  EXPECT_EQ(peer.told.wait_end(limit()), SessionEnd::kGaveUp);
  EXPECT_EQ(peer.told.why().code, ErrorCode::kProtocol);
}

TEST(SessionPeer, WhoHoldsNothingDoesNotOpenSuchAStream) {
  Peer peer;
  peer.connect(1);
  peer.greet(1, 5, kProtocolVersion, kContentVersion, true);
  const auto answer = peer.receive(FrameType::kHello);
  ASSERT_TRUE(answer);
  EXPECT_FALSE(decode_hello(answer->payload.view())->holds);
  peer.send({.type = FrameType::kOpen, .flags = kHeldKind, .stream = 2});
  EXPECT_EQ(peer.receive(FrameType::kOpened)->header.flags, kOpenedNo);
  EXPECT_TRUE(peer.is_alive());
}

}  // namespace
}  // namespace drover::mover
