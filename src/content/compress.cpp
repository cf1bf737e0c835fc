// SPDX-License-Identifier: Apache-2.0
#include "content/compress.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include <lz4.h>
#include <zstd.h>

#include "base/error.h"

namespace drover::content {
namespace {

int as_int(std::size_t size) { return static_cast<int>(size); }

struct Zstd {
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> packer{ZSTD_createCCtx(), ZSTD_freeCCtx};
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> unpacker{ZSTD_createDCtx(), ZSTD_freeDCtx};
};

// At level 1 a table of 32 KiB, which stays in the nearest cache, of strings of five bytes: as
// small as zstd's own choice for a batch makes a disk, and a tenth faster (docs/benchmarks.md).
constexpr int kFastLevel = 1;
constexpr int kFastHashLog = 13;
constexpr int kFastMinMatch = 5;

// Making a context costs more than compressing a batch, so each thread keeps its own.
Zstd& zstd_of_thread() {
  thread_local Zstd zstd;
  DROVER_CHECK(zstd.packer != nullptr && zstd.unpacker != nullptr);
  return zstd;
}

std::size_t zstd_compress(std::span<const std::uint8_t> from, int level,
                          std::span<std::uint8_t> to) {
  ZSTD_CCtx* const packer = zstd_of_thread().packer.get();
  const bool fast = level == kFastLevel;
  // 0: as the level has it.
  ZSTD_CCtx_setParameter(packer, ZSTD_c_compressionLevel, std::clamp(level, -7, 19));
  ZSTD_CCtx_setParameter(packer, ZSTD_c_hashLog, fast ? kFastHashLog : 0);
  ZSTD_CCtx_setParameter(packer, ZSTD_c_minMatch, fast ? kFastMinMatch : 0);
  const std::size_t size = ZSTD_compress2(packer, to.data(), to.size(), from.data(), from.size());
  return ZSTD_isError(size) != 0 ? 0 : size;
}

std::size_t lz4_compress(std::span<const std::uint8_t> from, int acceleration,
                         std::span<std::uint8_t> to) {
  const int size = LZ4_compress_fast(reinterpret_cast<const char*>(from.data()),
                                     reinterpret_cast<char*>(to.data()), as_int(from.size()),
                                     as_int(to.size()), std::max(acceleration, 1));
  return size > 0 ? static_cast<std::size_t>(size) : 0;
}

}  // namespace

std::size_t compress(std::span<const std::uint8_t> from, Compression compression,
                     std::span<std::uint8_t> to) {
  DROVER_CHECK(to.size() == from.size());
  if (from.size() < 2) return 0;
  // One byte less than there is: what does not shrink is not worth its decompression.
  const auto room = to.first(to.size() - 1);
  switch (compression.method) {
    case Compression::kNone:
      return 0;
    case Compression::kLz4:
      return lz4_compress(from, compression.level, room);
    case Compression::kZstd:
      return zstd_compress(from, compression.level, room);
    case Compression::kRunningZstd:
      break;
  }
  return 0;
}

bool decompress(std::span<const std::uint8_t> from, Compression::Method method,
                std::span<std::uint8_t> to) {
  switch (method) {
    case Compression::kNone:
      if (from.size() != to.size()) return false;
      if (!to.empty()) std::memcpy(to.data(), from.data(), to.size());
      return true;
    case Compression::kLz4:
      return LZ4_decompress_safe(reinterpret_cast<const char*>(from.data()),
                                 reinterpret_cast<char*>(to.data()), as_int(from.size()),
                                 as_int(to.size())) == as_int(to.size());
    case Compression::kZstd:
      // Without streaming the window is `to` itself: a frame that names a huge one allocates none.
      return begins_zstd_frame(from) &&
             ZSTD_decompressDCtx(zstd_of_thread().unpacker.get(), to.data(), to.size(), from.data(),
                                 from.size()) == to.size();
    case Compression::kRunningZstd:
      break;
  }
  return false;
}

bool begins_zstd_frame(std::span<const std::uint8_t> from) {
  constexpr std::array<std::uint8_t, 4> kMagic{0x28, 0xb5, 0x2f, 0xfd};
  return from.size() >= kMagic.size() && std::ranges::equal(from.first(kMagic.size()), kMagic);
}

}  // namespace drover::content
