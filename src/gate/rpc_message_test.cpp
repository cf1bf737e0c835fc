// SPDX-License-Identifier: Apache-2.0
#include "gate/rpc_message.h"

#include <gtest/gtest.h>

#include "base/big_endian.h"
#include "gate/xdr.h"

namespace drover::gate {
namespace {

RpcPacket call(std::int32_t procedure, std::uint32_t serial, std::size_t payload = 0) {
  return make_packet({.procedure = procedure, .serial = serial}, Bytes(payload, 7));
}

TEST(RpcPacket, HasLibvirtsLayout) {
  const RpcPacket packet = call(66, 5);
  const Bytes expected{0, 0,  0, 28, 0x20, 0, 0x80, 0x86, 0, 0, 0, 1, 0, 0,
                       0, 66, 0, 0,  0,    0, 0,    0,    0, 5, 0, 0, 0, 0};
  EXPECT_EQ(packet.bytes, expected);
  EXPECT_EQ(parse_packet(packet.bytes)->header, packet.header);
}

TEST(RpcPacket, RefusesUnknownTypeStatusAndLength) {
  for (const std::size_t at : {19u, 27u}) {  // the last bytes of type and status
    Bytes bytes = call(1, 0).bytes;
    bytes[at] = 9;
    EXPECT_EQ(parse_packet(bytes).error().code, ErrorCode::kProtocol);
  }
  Bytes bytes = call(1, 0, 4).bytes;
  bytes.pop_back();
  EXPECT_EQ(parse_packet(bytes).error().code, ErrorCode::kProtocol);
}

TEST(PacketDecoder, FindsPacketsHoweverTheBytesAreCut) {
  Bytes stream;
  for (std::uint32_t serial = 0; serial < 5; ++serial) {
    const auto packet = call(60, serial, serial * 4);
    stream.insert(stream.end(), packet.bytes.begin(), packet.bytes.end());
  }
  for (std::size_t step = 1; step < 40; ++step) {
    PacketDecoder decoder;
    std::uint32_t found = 0;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      decoder.feed(std::span(stream).subspan(at, std::min(step, stream.size() - at)));
      while (auto packet = *decoder.next()) EXPECT_EQ(packet->header.serial, found++);
    }
    EXPECT_EQ(found, 5u);
  }
}

TEST(PacketDecoder, RefusesLengthsOutsideTheLimits) {
  for (const std::uint32_t length : {0u, 4u, 27u, 33554437u, 0xffffffffu}) {
    Bytes word(4);
    store_be(word.data(), length);
    PacketDecoder decoder;
    decoder.feed(word);
    EXPECT_EQ(decoder.next().error().code, ErrorCode::kProtocol) << length;
  }
}

TEST(PacketDecoder, WaitsForTheLargestPacket) {
  Bytes word(4);
  store_be(word.data(), static_cast<std::uint32_t>(kPacketBytesMax));
  PacketDecoder decoder;
  decoder.feed(word);
  EXPECT_FALSE(decoder.next()->has_value());
}

TEST(Keepalive, PongIsTwentyEightBytes) {
  const RpcPacket pong = make_pong();
  EXPECT_EQ(pong.bytes.size(), 28u);
  EXPECT_TRUE(is_keepalive(pong.header));
  EXPECT_FALSE(is_ping(pong.header));
  RpcHeader ping = pong.header;
  ping.procedure = 1;
  EXPECT_TRUE(is_ping(ping));
}

TEST(XdrReader, StopsAtTheFirstFault) {
  const Bytes bytes{0, 0, 0, 9, 'a', 'b', 'c', 'd', 0, 0, 0, 1};
  XdrReader in(bytes);
  EXPECT_EQ(in.bytes(100), "");  // 9 bytes are not there
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.u32(), 0u);
  EXPECT_FALSE(in.finished());
}

TEST(XdrReader, RefusesPaddingThatIsNotZero) {
  const Bytes bytes{0, 0, 0, 1, 'a', 0, 1, 0};
  XdrReader in(bytes);
  in.bytes(10);
  EXPECT_FALSE(in.ok());
}

TEST(XdrReader, ReadsWhatTheWriterWrote) {
  XdrWriter out;
  out.u32(7);
  out.u64(0x1122334455667788);
  out.boolean(true);
  out.bytes("abcde");
  out.fixed("0123456789abcdef");
  XdrReader in(out.out());
  EXPECT_EQ(in.u32(), 7u);
  EXPECT_EQ(in.u64(), 0x1122334455667788u);
  EXPECT_TRUE(in.boolean());
  EXPECT_EQ(in.bytes(5), "abcde");
  EXPECT_EQ(in.fixed(16), "0123456789abcdef");
  EXPECT_TRUE(in.finished());
}

}  // namespace
}  // namespace drover::gate
