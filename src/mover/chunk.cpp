// SPDX-License-Identifier: Apache-2.0
#include "mover/chunk.h"

#include "base/error.h"

namespace drover::mover {

Chunk ChunkPool::make(std::size_t size) {
  DROVER_CHECK(size <= kBlockBytes);
  if (size <= kExactBytesMax) {
    return {std::shared_ptr<std::uint8_t[]>(new std::uint8_t[size]), size};
  }
  std::unique_ptr<std::uint8_t[]> block;
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      block = std::move(free_.back());
      free_.pop_back();
    }
  }
  if (!block) block = std::make_unique_for_overwrite<std::uint8_t[]>(kBlockBytes);
  auto deleter = [pool = shared_from_this()](std::uint8_t* bytes) { pool->give_back(bytes); };
  return {std::shared_ptr<std::uint8_t[]>(block.release(), std::move(deleter)), size};
}

void ChunkPool::give_back(std::uint8_t* bytes) {
  std::unique_ptr<std::uint8_t[]> block(bytes);
  const std::lock_guard lock(mutex_);
  if (free_.size() < kFreeBlocksMax) free_.push_back(std::move(block));
}

}  // namespace drover::mover
