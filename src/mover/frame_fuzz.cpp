// SPDX-License-Identifier: Apache-2.0
// Bytes of another host as they come out of TLS: frames, and the payloads that are decoded.
// Whatever comes, nothing is read or written out of bounds, and nothing throws.
#include <cstdint>
#include <cstring>
#include <memory>

#include "mover/frame_reader.h"
#include "mover/hello.h"
#include "mover/incoming_half.h"

using drover::mover::ChunkPool;
using drover::mover::FrameReader;
using drover::mover::FrameType;
using drover::mover::IncomingHalf;

// As the writing loop of a stream, on a side that holds nothing.
static void miss_or_apply(IncomingHalf& half, const drover::mover::FrameHeader& header) {
  const bool literal = header.type == FrameType::kData || header.flags != 0;
  if (literal)
    half.applied(header.raw_length);
  else
    half.missed(header);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto pool = std::make_shared<ChunkPool>();
  FrameReader reader(pool);
  IncomingHalf half(1 << 20);
  while (size > 0) {
    const auto space = reader.space();
    const std::size_t n = std::min(space.size(), size);
    std::memcpy(space.data(), data, n);
    data += n;
    size -= n;
    auto frame = reader.filled(n);
    if (!frame) return 0;
    if (!*frame) continue;
    const auto& header = (*frame)->header;
    if (header.type == FrameType::kHello) {
      static_cast<void>(drover::mover::decode_hello((*frame)->payload.view()));
    } else if (header.type == FrameType::kRefused) {
      static_cast<void>(drover::mover::refused_error((*frame)->payload.view()));
    } else if (header.type == FrameType::kData || header.type == FrameType::kPacked) {
      if (!half.take(std::move(**frame))) return 0;
    } else if (header.type == FrameType::kFin) {
      if (!half.take_fin(header.offset)) return 0;
    } else if (header.type == FrameType::kStop) {
      half.discard();
    } else if (header.type == FrameType::kPing) {
      if (auto next = half.next()) half.applied(next->header.raw_length);
    } else if (header.type == FrameType::kPong) {
      if (auto next = half.next()) miss_or_apply(half, next->header);
    }
  }
  return 0;
}
