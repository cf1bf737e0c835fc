// SPDX-License-Identifier: Apache-2.0
// The header of a frame: docs/mover_protocol.md, "Frames". Plain values and their codec; any
// thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/error.h"
#include "mover/chunk.h"

namespace drover::mover {

// The numbers are on the wire.
enum class FrameType : std::uint8_t {
  kInvalid = 0,
  kHello = 1,
  kRefused = 2,
  kOpen = 3,
  kOpened = 4,
  kData = 5,
  kFin = 6,
  kStop = 7,
  kAck = 8,
  kPing = 9,
  kPong = 10,
  kPacked = 11,
  kMiss = 12,
};
std::string_view frame_type_name(FrameType type);

enum class StreamKind : std::uint8_t { kInvalid = 0, kRpc = 1, kMemory = 2, kDisks = 3, kHeld = 4 };
std::string_view stream_kind_name(StreamKind kind);  // "rpc", "memory", "disks", "held"

using StreamId = std::uint32_t;
inline constexpr StreamId kNoStream = 0;  // frames of the link itself
inline constexpr StreamId kRpcStream = 1;
inline constexpr StreamId kFirstOpenedStream = 2;

inline constexpr std::size_t kFrameHeaderBytes = 24;
inline constexpr std::uint64_t kOffsetMax = std::uint64_t{1} << 62;
inline constexpr std::uint32_t kPayloadBytesMax = 256 * 1024;
inline constexpr std::uint32_t kRawBytesMax = 1024 * 1024;
inline constexpr std::uint32_t kErrorTextBytesMax = 512;

inline constexpr std::uint8_t kOpenedYes = 1;
inline constexpr std::uint8_t kOpenedNo = 2;
inline constexpr std::uint8_t kAckFinApplied = 1;
inline constexpr std::uint8_t kPackedLiteral = 1;

struct FrameHeader {
  FrameType type = FrameType::kInvalid;
  std::uint8_t flags = 0;
  StreamId stream = kNoStream;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;  // payload bytes that follow
  // Bytes of the stream which the frame covers; in ACK the window; in MISS the range's length.
  std::uint32_t raw_length = 0;

  bool operator==(const FrameHeader&) const = default;
};

struct Frame {
  FrameHeader header;
  Chunk payload;  // header.length bytes
};

void encode_header(const FrameHeader& header, std::span<std::uint8_t, kFrameHeaderBytes> out);
// kProtocol for everything that the table of frames does not allow.
Result<FrameHeader> decode_header(std::span<const std::uint8_t, kFrameHeaderBytes> bytes);

}  // namespace drover::mover
