// SPDX-License-Identifier: Apache-2.0
#include "mover/frame.h"

#include "base/big_endian.h"
#include "mover/hello.h"
#include "mover/limits.h"

namespace drover::mover {
namespace {

std::unexpected<Error> refuse(const FrameHeader& header, std::string_view what) {
  return fail(ErrorCode::kProtocol, "The other mover sent a frame {} of stream {} with a wrong {}.",
              frame_type_name(header.type), header.stream, what);
}

// One row of the table: what the type allows.
struct Row {
  StreamId stream_min = 0;
  StreamId stream_max = 0;
  std::uint8_t flags_min = 0;
  std::uint8_t flags_max = 0;
  std::uint64_t offset_max = 0;
  std::uint32_t length_min = 0;
  std::uint32_t length_max = 0;
  std::uint32_t raw_min = 0;
  std::uint32_t raw_max = 0;
};

constexpr StreamId kLastStream = kFirstOpenedStream + kStreamsEverMax - 1;

const Row* row_of(FrameType type) {
  static constexpr Row kHello{.length_min = kHelloBytes, .length_max = kHelloBytes};
  static constexpr Row kRefused{.length_min = 2, .length_max = 2 * kKnownVersionsMax};
  static constexpr Row kOpen{
      .stream_min = kFirstOpenedStream, .stream_max = kLastStream, .flags_min = 2, .flags_max = 4};
  static constexpr Row kOpened{.stream_min = kFirstOpenedStream,
                               .stream_max = kLastStream,
                               .flags_min = kOpenedYes,
                               .flags_max = kOpenedNo,
                               .length_max = kErrorTextBytesMax};
  static constexpr Row kData{.stream_min = kRpcStream,
                             .stream_max = kLastStream,
                             .offset_max = kOffsetMax,
                             .length_min = 1,
                             .length_max = kPayloadBytesMax,
                             .raw_max = kRawBytesMax};
  static constexpr Row kPacked{.stream_min = kFirstOpenedStream,
                               .stream_max = kLastStream,
                               .flags_max = kPackedLiteral,
                               .offset_max = kOffsetMax,
                               .length_min = 1,
                               .length_max = kPayloadBytesMax,
                               .raw_min = 1,
                               .raw_max = kRawBytesMax};
  static constexpr Row kMiss{.stream_min = kFirstOpenedStream,
                             .stream_max = kLastStream,
                             .offset_max = kOffsetMax,
                             .raw_min = 1,
                             .raw_max = kRawBytesMax};
  static constexpr Row kFin{
      .stream_min = kRpcStream, .stream_max = kLastStream, .offset_max = kOffsetMax};
  static constexpr Row kStop{.stream_min = kRpcStream, .stream_max = kLastStream};
  static constexpr Row kAck{.stream_min = kRpcStream,
                            .stream_max = kLastStream,
                            .flags_max = kAckFinApplied,
                            .offset_max = kOffsetMax,
                            .raw_max = kWindowMax};
  static constexpr Row kPing{.offset_max = ~std::uint64_t{0}};
  switch (type) {
    case FrameType::kHello:
      return &kHello;
    case FrameType::kRefused:
      return &kRefused;
    case FrameType::kOpen:
      return &kOpen;
    case FrameType::kOpened:
      return &kOpened;
    case FrameType::kData:
      return &kData;
    case FrameType::kFin:
      return &kFin;
    case FrameType::kStop:
      return &kStop;
    case FrameType::kAck:
      return &kAck;
    case FrameType::kPing:
    case FrameType::kPong:
      return &kPing;
    case FrameType::kPacked:
      return &kPacked;
    case FrameType::kMiss:
      return &kMiss;
    case FrameType::kInvalid:
      break;
  }
  return nullptr;
}

Status check(const FrameHeader& header) {
  const Row* row = row_of(header.type);
  if (row == nullptr) {
    return fail(ErrorCode::kProtocol, "The other mover sent a frame of the unknown type {}.",
                static_cast<unsigned>(header.type));
  }
  if (header.stream < row->stream_min || header.stream > row->stream_max)
    return refuse(header, "stream");
  if (header.flags < row->flags_min || header.flags > row->flags_max) return refuse(header, "flag");
  if (header.offset > row->offset_max) return refuse(header, "offset");
  if (header.length < row->length_min || header.length > row->length_max)
    return refuse(header, "length");
  if (header.raw_length < row->raw_min || header.raw_length > row->raw_max)
    return refuse(header, "raw length");
  if (header.type == FrameType::kData && header.raw_length != header.length)
    return refuse(header, "raw length");
  if (header.type == FrameType::kOpened && header.flags == kOpenedYes && header.length != 0) {
    return refuse(header, "length");
  }
  if (header.type == FrameType::kRefused && header.length % 2 != 0) return refuse(header, "length");
  const bool covers = header.type == FrameType::kData || header.type == FrameType::kPacked;
  if (covers && header.offset + header.raw_length > kOffsetMax) return refuse(header, "offset");
  return {};
}

}  // namespace

std::string_view frame_type_name(FrameType type) {
  switch (type) {
    case FrameType::kHello:
      return "HELLO";
    case FrameType::kRefused:
      return "REFUSED";
    case FrameType::kOpen:
      return "OPEN";
    case FrameType::kOpened:
      return "OPENED";
    case FrameType::kData:
      return "DATA";
    case FrameType::kFin:
      return "FIN";
    case FrameType::kStop:
      return "STOP";
    case FrameType::kAck:
      return "ACK";
    case FrameType::kPing:
      return "PING";
    case FrameType::kPong:
      return "PONG";
    case FrameType::kPacked:
      return "PACKED";
    case FrameType::kMiss:
      return "MISS";
    case FrameType::kInvalid:
      break;
  }
  return "INVALID";
}

std::string_view stream_kind_name(StreamKind kind) {
  switch (kind) {
    case StreamKind::kRpc:
      return "rpc";
    case StreamKind::kMemory:
      return "memory";
    case StreamKind::kDisks:
      return "disks";
    case StreamKind::kHeld:
      return "held";
    case StreamKind::kInvalid:
      break;
  }
  return "invalid";
}

void encode_header(const FrameHeader& header, std::span<std::uint8_t, kFrameHeaderBytes> out) {
  out[0] = static_cast<std::uint8_t>(header.type);
  out[1] = header.flags;
  store_be<std::uint16_t>(&out[2], 0);
  store_be(&out[4], header.stream);
  store_be(&out[8], header.offset);
  store_be(&out[16], header.length);
  store_be(&out[20], header.raw_length);
}

Result<FrameHeader> decode_header(std::span<const std::uint8_t, kFrameHeaderBytes> bytes) {
  FrameHeader header;
  header.type = static_cast<FrameType>(bytes[0]);
  header.flags = bytes[1];
  header.stream = load_be<std::uint32_t>(&bytes[4]);
  header.offset = load_be<std::uint64_t>(&bytes[8]);
  header.length = load_be<std::uint32_t>(&bytes[16]);
  header.raw_length = load_be<std::uint32_t>(&bytes[20]);
  if (load_be<std::uint16_t>(&bytes[2]) != 0) return refuse(header, "reserved field");
  RETURN_IF_ERROR(check(header));
  return header;
}

}  // namespace drover::mover
