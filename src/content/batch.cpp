// SPDX-License-Identifier: Apache-2.0
#include "content/batch.h"

#include <algorithm>
#include <cstring>

#include "base/big_endian.h"
#include "content/compress.h"
#include "content/ops.h"

namespace drover::content {
namespace {

std::unexpected<Error> malformed(const char* what) {
  return fail(ErrorCode::kProtocol, "The other mover sent a packed frame that {}.", what);
}

}  // namespace

// Method, three zero bytes, length of the operations, length of the raw literals; then the
// operations and the literals, compressed or not.
std::vector<std::uint8_t> pack(const Batch& batch, Compression compression) {
  const std::size_t fixed = kPackedHeaderBytes + batch.ops.size();
  std::vector<std::uint8_t> payload(fixed + batch.literals.size());
  store_be(payload.data() + 4, static_cast<std::uint32_t>(batch.ops.size()));
  store_be(payload.data() + 8, static_cast<std::uint32_t>(batch.literals.size()));
  std::copy(batch.ops.begin(), batch.ops.end(), payload.begin() + kPackedHeaderBytes);
  const auto room = std::span(payload).subspan(fixed);
  const std::size_t packed = compress(batch.literals, compression, room);
  if (packed > 0) {
    payload[0] = compression.method;
    payload.resize(fixed + packed);
  } else if (!batch.literals.empty()) {
    std::memcpy(room.data(), batch.literals.data(), batch.literals.size());
  }
  return payload;
}

Result<Batch> unpack(std::span<const std::uint8_t> payload, std::size_t raw_length) {
  if (payload.size() < kPackedHeaderBytes) return malformed("is too short");
  if (payload[0] > Compression::kZstd || payload[1] != 0 || payload[2] != 0 || payload[3] != 0) {
    return malformed("is compressed by an unknown method");
  }
  const auto method = static_cast<Compression::Method>(payload[0]);
  const std::size_t ops = load_be<std::uint32_t>(payload.data() + 4);
  const std::size_t literals = load_be<std::uint32_t>(payload.data() + 8);
  if (ops > payload.size() - kPackedHeaderBytes) return malformed("has too few operations");
  if (literals > raw_length) return malformed("claims more bytes than it covers");
  const auto body = payload.subspan(kPackedHeaderBytes);
  Batch batch;
  batch.ops.assign(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(ops));
  batch.literals.resize(literals);
  if (!decompress(body.subspan(ops), method, batch.literals)) {
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
