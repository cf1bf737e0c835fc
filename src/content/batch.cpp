// SPDX-License-Identifier: Apache-2.0
#include "content/batch.h"

#include <algorithm>
#include <cstring>

#include "base/big_endian.h"
#include "content/compress.h"
#include "content/ops.h"

namespace drover::content {
namespace {

constexpr std::uint8_t kFrameBegins = 1;

std::unexpected<Error> malformed(const char* what) {
  return fail(ErrorCode::kProtocol, "The other mover sent a packed frame that {}.", what);
}

}  // namespace

// Method, one that a running frame begins or zero, two zero bytes, length of the operations, length
// of the raw literals; then the operations and the literals, compressed or not.
std::vector<std::uint8_t> pack(const Batch& batch, Compression compression,
                               RunningPacker* running) {
  const std::size_t fixed = kPackedHeaderBytes + batch.ops.size();
  const bool runs = compression.method == Compression::kRunningZstd && running != nullptr;
  std::vector<std::uint8_t> payload(fixed + batch.literals.size() +
                                    (runs ? kRunningOverheadMax : 0));
  store_be(payload.data() + 4, static_cast<std::uint32_t>(batch.ops.size()));
  store_be(payload.data() + 8, static_cast<std::uint32_t>(batch.literals.size()));
  std::copy(batch.ops.begin(), batch.ops.end(), payload.begin() + kPackedHeaderBytes);
  const auto room = std::span(payload).subspan(fixed);
  if (runs && !batch.literals.empty()) {
    const RunningPart part = running->pack(batch.literals, compression.level, room);
    if (part.size > 0) {
      payload[0] = Compression::kRunningZstd;
      payload[1] = part.begins ? kFrameBegins : 0;
      payload.resize(fixed + part.size);
      return payload;
    }
  }
  payload.resize(fixed + batch.literals.size());
  if (compression.method == Compression::kRunningZstd) compression.method = Compression::kZstd;
  const std::size_t packed =
      compress(batch.literals, compression, room.first(batch.literals.size()));
  if (packed > 0) {
    payload[0] = compression.method;
    payload.resize(fixed + packed);
  } else if (!batch.literals.empty()) {
    std::memcpy(room.data(), batch.literals.data(), batch.literals.size());
  }
  return payload;
}

bool stands_alone(std::span<const std::uint8_t> payload) {
  return payload.empty() || payload[0] != Compression::kRunningZstd;
}

Result<Batch> unpack(std::span<const std::uint8_t> payload, std::size_t raw_length,
                     RunningUnpacker* running) {
  if (payload.size() < kPackedHeaderBytes) return malformed("is too short");
  const auto method = static_cast<Compression::Method>(payload[0]);
  const bool runs = method == Compression::kRunningZstd;
  if (method > Compression::kRunningZstd || payload[1] > (runs ? kFrameBegins : 0) ||
      payload[2] != 0 || payload[3] != 0) {
    return malformed("is compressed by an unknown method");
  }
  if (runs && running == nullptr) return malformed("is part of one frame too many");
  const std::size_t ops = load_be<std::uint32_t>(payload.data() + 4);
  const std::size_t literals = load_be<std::uint32_t>(payload.data() + 8);
  if (ops > payload.size() - kPackedHeaderBytes) return malformed("has too few operations");
  if (literals > raw_length) return malformed("claims more bytes than it covers");
  const auto body = payload.subspan(kPackedHeaderBytes);
  Batch batch;
  batch.ops.assign(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(ops));
  batch.literals.resize(literals);
  const auto packed = body.subspan(ops);
  const bool begins = payload[1] == kFrameBegins;
  if (runs ? !running->unpack(packed, begins, batch.literals)
           : !decompress(packed, method, batch.literals)) {
    return malformed("does not hold the bytes that it claims");
  }
  return batch;
}

Batch literal_batch(std::span<const std::uint8_t> raw) {
  DROVER_CHECK(raw.size() <= kBatchRawBytesMax);
  Batch batch;
  if (!raw.empty()) append_op(batch.ops, {.kind = OpKind::kLiteral, .count = raw.size()});
  batch.literals.assign(raw.begin(), raw.end());
  return batch;
}

Batch mend(std::span<const std::uint8_t> raw, std::span<const std::uint8_t> ops) {
  Batch mended;
  OpReader reader(ops);
  std::size_t at = 0;
  while (true) {
    auto next = reader.next();
    DROVER_CHECK(next.has_value());
    if (!*next) break;
    Op& op = **next;
    const std::size_t covered = op.raw_bytes();
    DROVER_CHECK(covered <= raw.size() - at);
    if (op.kind == OpKind::kCachedPage || op.kind == OpKind::kDiskPage) {
      op.kind = OpKind::kPlainPages;
      op.count = 1;
    }
    append_op(mended.ops, op);
    append_literals(raw.subspan(at, covered), op, mended.literals);
    at += covered;
  }
  DROVER_CHECK(at == raw.size());
  return mended;
}

}  // namespace drover::content
