// SPDX-License-Identifier: Apache-2.0
// One zstd frame through all of a stream: each payload is its next part, complete by itself, and
// may repeat what the last 8 MiB of literals held (docs/mover_protocol.md, "Running compression").
// Not thread-safe; the packer's parts must be made, and the unpacker's given, in the stream's
// order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace drover::content {

inline constexpr int kRunningWindowLog = 23;
// A session's streams that may have such a frame: 9 to 16 MB each at the source, 8 at the
// destination.
inline constexpr unsigned kRunningStreamsMax = 4;
// A part is never larger than its literals by more than this.
inline constexpr std::size_t kRunningOverheadMax = 32;

struct RunningPart {
  std::size_t size = 0;  // 0: nothing was made, and the next part begins a frame
  bool begins = false;   // a frame; the one before is over
};

class RunningPacker {
 public:
  RunningPacker();
  ~RunningPacker();

  // Another level than last begins a frame. REQUIRES: from not empty, no overlap, and
  // to.size() >= from.size() + kRunningOverheadMax.
  RunningPart pack(std::span<const std::uint8_t> from, int level, std::span<std::uint8_t> to);

 private:
  struct Free {
    void operator()(ZSTD_CCtx_s* context) const;
  };
  std::unique_ptr<ZSTD_CCtx_s, Free> context_;
  int level_ = 0;  // of the frame; 0: none has begun
};

class RunningUnpacker {
 public:
  RunningUnpacker();
  ~RunningUnpacker();

  // False unless `from` is a part of to.size() bytes; nothing after it can be unpacked then.
  bool unpack(std::span<const std::uint8_t> from, bool begins, std::span<std::uint8_t> to);

 private:
  struct Free {
    void operator()(ZSTD_DCtx_s* context) const;
  };
  std::unique_ptr<ZSTD_DCtx_s, Free> context_;
  bool begun_ = false;
};

}  // namespace drover::content
