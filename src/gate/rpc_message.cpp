// SPDX-License-Identifier: Apache-2.0
#include "gate/rpc_message.h"

#include "base/big_endian.h"
#include "gate/xdr.h"

namespace drover::gate {
namespace {

constexpr std::int32_t kPing = 1;
constexpr std::int32_t kPong = 2;

Status check_length(std::uint32_t length) {
  if (length >= kPacketBytesLeast && length <= kPacketBytesMax) return {};
  return fail(ErrorCode::kProtocol, "A libvirt RPC packet claims {} bytes; {} to {} are possible.",
              length, kPacketBytesLeast, kPacketBytesMax);
}

}  // namespace

RpcPacket make_packet(const RpcHeader& header, std::span<const std::uint8_t> payload) {
  DROVER_CHECK(payload.size() <= kPacketBodyMax - kHeaderBytes);
  XdrWriter out;
  out.u32(static_cast<std::uint32_t>(kPacketBytesLeast + payload.size()));
  out.u32(header.program);
  out.u32(header.version);
  out.i32(header.procedure);
  out.u32(static_cast<std::uint32_t>(header.type));
  out.u32(header.serial);
  out.u32(static_cast<std::uint32_t>(header.status));
  RpcPacket packet{header, out.take()};
  packet.bytes.insert(packet.bytes.end(), payload.begin(), payload.end());
  return packet;
}

Result<RpcPacket> parse_packet(std::span<const std::uint8_t> bytes) {
  XdrReader in(bytes);
  const std::uint32_t length = in.u32();
  RETURN_IF_ERROR(check_length(length));
  if (length != bytes.size()) {
    return fail(ErrorCode::kProtocol, "A libvirt RPC packet of {} bytes claims {}.", bytes.size(),
                length);
  }
  RpcHeader header;
  header.program = in.u32();
  header.version = in.u32();
  header.procedure = in.i32();
  const std::uint32_t type = in.u32();
  header.serial = in.u32();
  const std::uint32_t status = in.u32();
  if (type > static_cast<std::uint32_t>(RpcType::kStreamHole) ||
      status > static_cast<std::uint32_t>(RpcStatus::kContinue)) {
    return fail(ErrorCode::kProtocol, "A libvirt RPC packet has type {} and status {}.", type,
                status);
  }
  header.type = static_cast<RpcType>(type);
  header.status = static_cast<RpcStatus>(status);
  return RpcPacket{header, Bytes(bytes.begin(), bytes.end())};
}

bool is_keepalive(const RpcHeader& header) { return header.program == kProgramKeepalive; }

bool is_ping(const RpcHeader& header) {
  return is_keepalive(header) && header.type == RpcType::kMessage && header.procedure == kPing;
}

RpcPacket make_pong() {
  return make_packet({.program = kProgramKeepalive, .procedure = kPong, .type = RpcType::kMessage},
                     {});
}

void PacketDecoder::feed(std::span<const std::uint8_t> bytes) {
  if (begin_ > 0) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
  }
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

Result<std::optional<RpcPacket>> PacketDecoder::next() {
  const auto rest = std::span(buffer_).subspan(begin_);
  if (rest.size() < kLengthBytes) return std::nullopt;
  const auto length = load_be<std::uint32_t>(rest.data());
  RETURN_IF_ERROR(check_length(length));
  if (rest.size() < length) return std::nullopt;
  ASSIGN_OR_RETURN(RpcPacket packet, parse_packet(rest.first(length)));
  begin_ += length;
  return packet;
}

}  // namespace drover::gate
