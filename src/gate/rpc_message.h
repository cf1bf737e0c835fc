// SPDX-License-Identifier: Apache-2.0
// libvirt's RPC packets: a length word that counts itself, a header of 24 bytes, a payload
// (libvirt's virnetprotocol.x). Decoders take bytes from elsewhere: they never throw. Values; not
// thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace drover::gate {

using Bytes = std::vector<std::uint8_t>;

// VIR_NET_MESSAGE_MAX counts what follows the length word.
inline constexpr std::size_t kPacketBodyMax = 33554432;
inline constexpr std::size_t kLengthBytes = 4;
inline constexpr std::size_t kHeaderBytes = 24;
inline constexpr std::size_t kPacketBytesLeast = kLengthBytes + kHeaderBytes;
inline constexpr std::size_t kPacketBytesMax = kLengthBytes + kPacketBodyMax;

inline constexpr std::uint32_t kProgramRemote = 0x20008086;
inline constexpr std::uint32_t kProgramKeepalive = 0x6b656570;
inline constexpr std::uint32_t kProgramVersion = 1;  // of both

enum class RpcType : std::uint32_t {
  kCall = 0,
  kReply = 1,
  kMessage = 2,
  kStream = 3,
  kCallWithFds = 4,
  kReplyWithFds = 5,
  kStreamHole = 6,
};

enum class RpcStatus : std::uint32_t { kOk = 0, kError = 1, kContinue = 2 };

struct RpcHeader {
  std::uint32_t program = kProgramRemote;
  std::uint32_t version = kProgramVersion;
  std::int32_t procedure = 0;
  RpcType type = RpcType::kCall;
  std::uint32_t serial = 0;
  RpcStatus status = RpcStatus::kOk;

  bool operator==(const RpcHeader&) const = default;
};

struct RpcPacket {
  RpcHeader header;
  Bytes bytes;  // the whole packet, length word included

  std::span<const std::uint8_t> payload() const {
    return std::span(bytes).subspan(kPacketBytesLeast);
  }
};

// REQUIRES: payload.size() <= kPacketBodyMax - kHeaderBytes.
RpcPacket make_packet(const RpcHeader& header, std::span<const std::uint8_t> payload);
// One whole packet; kProtocol when length, type or status are not libvirt's.
Result<RpcPacket> parse_packet(std::span<const std::uint8_t> bytes);

// Keepalive: PING is procedure 1, PONG 2.
bool is_ping(const RpcHeader& header);
bool is_keepalive(const RpcHeader& header);
RpcPacket make_pong();

// Cuts a byte stream into packets. Holds at most the bytes fed and not yet taken: a length word
// reserves nothing, so memory is bounded by what the other side really sent.
// Feed at most a few KiB, then take packets until there is none, then feed again.
class PacketDecoder {
 public:
  void feed(std::span<const std::uint8_t> bytes);
  // Nothing: more bytes are needed. After an error the stream cannot be used any more.
  Result<std::optional<RpcPacket>> next();

 private:
  Bytes buffer_;
  std::size_t begin_ = 0;  // of what is not taken yet
};

}  // namespace drover::gate
