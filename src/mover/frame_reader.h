// SPDX-License-Identifier: Apache-2.0
// Cuts frames out of a stream of bytes: tells where the next bytes belong, so that payloads are
// decrypted right into their chunk. One thread.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>

#include "base/error.h"
#include "mover/frame.h"

namespace drover::mover {

class FrameReader {
 public:
  explicit FrameReader(std::shared_ptr<ChunkPool> pool) : pool_(std::move(pool)) {}

  // Where the next bytes go: never empty.
  std::span<std::uint8_t> space();
  // `bytes` of space() are filled. A frame when it is whole; kProtocol ends the link.
  Result<std::optional<Frame>> filled(std::size_t bytes);

 private:
  std::shared_ptr<ChunkPool> pool_;
  std::array<std::uint8_t, kFrameHeaderBytes> header_bytes_{};
  std::size_t done_ = 0;  // of the header, or of the payload once `frame_` is there
  std::optional<Frame> frame_;
};

}  // namespace drover::mover
