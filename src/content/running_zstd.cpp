// SPDX-License-Identifier: Apache-2.0
#include "content/running_zstd.h"

#include <utility>

#include <zstd.h>

#include "base/error.h"
#include "content/compress.h"

namespace drover::content {
namespace {

void begin_frame(ZSTD_CCtx* context, int level) {
  ZSTD_CCtx_reset(context, ZSTD_reset_session_only);
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, kRunningWindowLog);
}

}  // namespace

void RunningPacker::Free::operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
void RunningUnpacker::Free::operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }

RunningPacker::RunningPacker() : context_(ZSTD_createCCtx()) { DROVER_CHECK(context_ != nullptr); }
RunningPacker::~RunningPacker() = default;

RunningPart RunningPacker::pack(std::span<const std::uint8_t> from, int level,
                                std::span<std::uint8_t> to) {
  DROVER_CHECK(!from.empty() && to.size() >= from.size() + kRunningOverheadMax);
  const bool begins = level != std::exchange(level_, level);
  if (begins) begin_frame(context_.get(), level);
  ZSTD_inBuffer in{from.data(), from.size(), 0};
  ZSTD_outBuffer out{to.data(), to.size(), 0};
  // With room for everything one call flushes everything.
  if (ZSTD_compressStream2(context_.get(), &out, &in, ZSTD_e_flush) != 0) {
    level_ = 0;
    return {};
  }
  return {out.pos, begins};
}

RunningUnpacker::RunningUnpacker() : context_(ZSTD_createDCtx()) {
  DROVER_CHECK(context_ != nullptr);
  ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kRunningWindowLog);
}
RunningUnpacker::~RunningUnpacker() = default;

bool RunningUnpacker::unpack(std::span<const std::uint8_t> from, bool begins,
                             std::span<std::uint8_t> to) {
  if (begins ? !begins_zstd_frame(from) : !begun_) return false;
  if (begins) ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only);
  begun_ = false;
  ZSTD_inBuffer in{from.data(), from.size(), 0};
  ZSTD_outBuffer out{to.data(), to.size(), 0};
  while (in.pos < in.size || out.pos < out.size) {
    const std::size_t before = in.pos + out.pos;
    const std::size_t hint = ZSTD_decompressStream(context_.get(), &out, &in);
    // 0: the frame ended, which no part does.
    if (ZSTD_isError(hint) != 0 || hint == 0 || in.pos + out.pos == before) return false;
  }
  // More than was claimed would stand before the next part.
  std::uint8_t more = 0;
  ZSTD_outBuffer rest{&more, 1, 0};
  begun_ = ZSTD_isError(ZSTD_decompressStream(context_.get(), &rest, &in)) == 0 && rest.pos == 0;
  return begun_;
}

}  // namespace drover::content
