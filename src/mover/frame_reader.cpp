// SPDX-License-Identifier: Apache-2.0
#include "mover/frame_reader.h"

#include <utility>

namespace drover::mover {

std::span<std::uint8_t> FrameReader::space() {
  if (frame_) return frame_->payload.writable().subspan(done_);
  return std::span(header_bytes_).subspan(done_);
}

Result<std::optional<Frame>> FrameReader::filled(std::size_t bytes) {
  done_ += bytes;
  if (!frame_) {
    if (done_ < kFrameHeaderBytes) return std::nullopt;
    ASSIGN_OR_RETURN(const FrameHeader header, decode_header(header_bytes_));
    frame_ = Frame{header, header.length > 0 ? pool_->make(header.length) : Chunk{}};
    done_ = 0;
  }
  if (done_ < frame_->header.length) return std::nullopt;
  done_ = 0;
  return std::exchange(frame_, std::nullopt);
}

}  // namespace drover::mover
