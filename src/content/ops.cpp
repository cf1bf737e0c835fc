// SPDX-License-Identifier: Apache-2.0
#include "content/ops.h"

#include <algorithm>

#include "base/big_endian.h"

namespace drover::content {
namespace {

constexpr std::uint64_t kCountMax = std::uint64_t{1} << 20;  // a frame covers 1 MiB
constexpr std::uint64_t kPageNumberMax = (std::uint64_t{1} << 52) - 1;

bool counts(OpKind kind) {
  return kind == OpKind::kLiteral || kind == OpKind::kZeroPages || kind == OpKind::kPages ||
         kind == OpKind::kSamePages || kind == OpKind::kPlainPages;
}

bool mode_allowed(OpKind kind, HeaderMode mode) {
  switch (kind) {
    case OpKind::kLiteral:
    case OpKind::kHeader:
    case OpKind::kDisk:
      return mode == HeaderMode::kNone;
    case OpKind::kZeroPages:
    case OpKind::kSamePages:
      return mode != HeaderMode::kNone;
    case OpKind::kPages:
    case OpKind::kCachedPage:
    case OpKind::kDiskPage:
    case OpKind::kPlainPages:
      return true;
    case OpKind::kInvalid:
      break;
  }
  return false;
}

void append_number(std::vector<std::uint8_t>& ops, std::uint64_t number) {
  for (; number >= 0x80; number >>= 7) ops.push_back(static_cast<std::uint8_t>(number | 0x80));
  ops.push_back(static_cast<std::uint8_t>(number));
}

auto malformed() {
  return fail(ErrorCode::kProtocol, "The other mover sent a batch with an unknown operation.");
}

}  // namespace

std::size_t Op::raw_bytes() const {
  const std::size_t headers = mode == HeaderMode::kNone ? count - 1 : count;
  switch (kind) {
    case OpKind::kLiteral:
      return count;
    case OpKind::kHeader:
      return kRecordHeaderBytes + text.size();
    case OpKind::kZeroPages:
      return count * kZeroRecordBytes;
    case OpKind::kPages:
    case OpKind::kSamePages:
    case OpKind::kPlainPages:
    case OpKind::kCachedPage:
    case OpKind::kDiskPage:
      return count * kBlockBytes + headers * kRecordHeaderBytes;
    case OpKind::kDisk:
    case OpKind::kInvalid:
      break;
  }
  return 0;
}

std::size_t Op::literal_bytes() const {
  if (kind == OpKind::kLiteral) return count;
  return kind == OpKind::kPages || kind == OpKind::kPlainPages ? count * kBlockBytes : 0;
}

void append_op(std::vector<std::uint8_t>& ops, const Op& op) {
  ops.push_back(static_cast<std::uint8_t>(static_cast<unsigned>(op.kind) |
                                          static_cast<unsigned>(op.mode) << 4));
  if (op.mode == HeaderMode::kSkip || op.mode == HeaderMode::kAt) append_number(ops, op.page);
  if (counts(op.kind)) append_number(ops, op.count);
  if (op.kind == OpKind::kHeader) {
    ops.resize(ops.size() + 8);
    store_be<std::uint64_t>(ops.data() + ops.size() - 8, op.where);
    if ((op.where & kFlagContinue) == 0) ops.insert(ops.end(), op.text.begin(), op.text.end());
  } else if (op.kind == OpKind::kDisk) {
    ops.push_back(op.disk);
    ops.push_back(static_cast<std::uint8_t>(op.text.size()));
    ops.insert(ops.end(), op.text.begin(), op.text.end());
  } else if (op.kind == OpKind::kCachedPage || op.kind == OpKind::kDiskPage) {
    if (op.kind == OpKind::kDiskPage) ops.push_back(op.disk);
    append_number(ops, op.where);
    ops.insert(ops.end(), op.name.begin(), op.name.end());
  }
}

void append_literals(std::span<const std::uint8_t> covered, const Op& op,
                     std::vector<std::uint8_t>& literals) {
  if (op.kind == OpKind::kLiteral) {
    literals.insert(literals.end(), covered.begin(), covered.end());
  } else if (op.literal_bytes() > 0) {
    std::size_t header = op.mode == HeaderMode::kNone ? 0 : kRecordHeaderBytes;
    for (; !covered.empty(); header = kRecordHeaderBytes) {
      const auto page = covered.subspan(header, kBlockBytes);
      literals.insert(literals.end(), page.begin(), page.end());
      covered = covered.subspan(header + kBlockBytes);
    }
  }
}

Result<std::uint64_t> OpReader::number(std::uint64_t at_most) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 63 && !rest_.empty(); shift += 7) {
    const std::uint8_t byte = rest_.front();
    rest_ = rest_.subspan(1);
    value |= std::uint64_t{byte & 0x7fu} << shift;
    if ((byte & 0x80) != 0) continue;
    if (value > at_most) break;
    return value;
  }
  return malformed();
}

Result<std::span<const std::uint8_t>> OpReader::bytes(std::size_t count) {
  if (rest_.size() < count) return malformed();
  const auto taken = rest_.first(count);
  rest_ = rest_.subspan(count);
  return taken;
}

Result<std::optional<Op>> OpReader::next() {
  if (rest_.empty()) return std::nullopt;
  const std::uint8_t first = rest_.front();
  rest_ = rest_.subspan(1);
  Op op{.kind = static_cast<OpKind>(first & 0x0f), .mode = static_cast<HeaderMode>(first >> 4)};
  if ((first & 0xc0) != 0 || !mode_allowed(op.kind, op.mode)) return malformed();
  RETURN_IF_ERROR(read_fields(op));
  return op;
}

Status OpReader::read_fields(Op& op) {
  if (op.mode == HeaderMode::kSkip || op.mode == HeaderMode::kAt) {
    ASSIGN_OR_RETURN(op.page, number(kPageNumberMax));
  }
  if (counts(op.kind)) {
    ASSIGN_OR_RETURN(op.count, number(kCountMax));
    if (op.count == 0) return malformed();
  }
  if (op.kind == OpKind::kHeader) {
    ASSIGN_OR_RETURN(const auto header, bytes(8));
    op.where = load_be<std::uint64_t>(header.data());
    if ((op.where & kFlagContinue) != 0) return {};
    if (rest_.empty()) return malformed();
    ASSIGN_OR_RETURN(op.text, bytes(1u + rest_.front()));
  } else if (op.kind == OpKind::kDisk) {
    ASSIGN_OR_RETURN(const auto head, bytes(2));
    op.disk = head[0];
    ASSIGN_OR_RETURN(op.text, bytes(head[1]));
  } else if (op.kind == OpKind::kCachedPage || op.kind == OpKind::kDiskPage) {
    if (op.kind == OpKind::kDiskPage) {
      ASSIGN_OR_RETURN(const auto disk, bytes(1));
      op.disk = disk[0];
    }
    ASSIGN_OR_RETURN(op.where, number(kPageNumberMax));
    ASSIGN_OR_RETURN(const auto name, bytes(op.name.size()));
    std::copy(name.begin(), name.end(), op.name.begin());
  }
  const std::uint8_t disks = op.kind == OpKind::kDiskPage ? kDiskNumbersMax : kDisksMax;
  if (op.disk >= disks) return malformed();
  return {};
}

}  // namespace drover::content
