// SPDX-License-Identifier: Apache-2.0
// A described range of a stream and its form on the wire (docs/mover_protocol.md, "Content"). Pure
// functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "content/running_zstd.h"

namespace drover::content {

// The unit of names and references: a guest page, an aligned block of a disk.
inline constexpr std::size_t kBlockBytes = 4096;
// At most so many raw bytes go into a batch: its payload then fits a frame (256 KiB) even if
// nothing in it is known and nothing compresses.
inline constexpr std::size_t kBatchRawBytesMax = 255 * 1024;
inline constexpr std::size_t kPackedHeaderBytes = 12;
// A batch's payload is never larger than its raw range by more than this.
inline constexpr std::size_t kPackedOverheadMax = 64;

// What the receiver can rebuild from what it holds (`ops` says how), and the bytes that it lacks.
struct Batch {
  std::vector<std::uint8_t> ops;
  std::vector<std::uint8_t> literals;

  bool operator==(const Batch&) const = default;
};

struct Compression {
  // The numbers are on the wire.
  enum Method : std::uint8_t { kNone = 0, kLz4 = 1, kZstd = 2, kRunningZstd = 3 };
  Method method = kNone;
  int level = 0;  // zstd: 1 to 19, or negative, as zstd has them; lz4: its acceleration, from 1
};

// The payload of a PACKED frame. Literals that do not shrink are stored as they are. By
// kRunningZstd: as the next part of `running`, which the other side must unpack in its turn even if
// it did not shrink; without `running` by zstd of the same level, alone.
std::vector<std::uint8_t> pack(const Batch& batch, Compression compression,
                               RunningPacker* running = nullptr);
// False: a part of a running frame. What stands alone may be thrown away, its range sent otherwise.
bool stands_alone(std::span<const std::uint8_t> payload);
// `raw_length` is that of the frame: no batch has more literals than it has raw bytes, so a payload
// cannot demand more memory than its frame announced. kProtocol for anything else, and for a part
// of a running frame without `running`.
Result<Batch> unpack(std::span<const std::uint8_t> payload, std::size_t raw_length,
                     RunningUnpacker* running = nullptr);

// The range as nothing but bytes: what any stream may be sent as.
// REQUIRES: raw.size() <= kBatchRawBytesMax.
Batch literal_batch(std::span<const std::uint8_t> raw);
// The answer to a miss: the same range with every reference replaced by its bytes. It leaves the
// receiver with the same state as the batch that missed, so both sides still agree.
// REQUIRES: `ops` are those that encode() gave for `raw`.
Batch mend(std::span<const std::uint8_t> raw, std::span<const std::uint8_t> ops);

}  // namespace drover::content
