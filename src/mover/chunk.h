// SPDX-License-Identifier: Apache-2.0
// Bytes on their way: shared, never copied once filled. A Chunk may be read by several threads (a
// frame that is being sent while it is acknowledged); the pool by any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace drover::mover {

struct Chunk {
  std::shared_ptr<std::uint8_t[]> bytes;
  std::size_t size = 0;

  std::span<const std::uint8_t> view() const { return {bytes.get(), size}; }
  std::span<std::uint8_t> writable() { return {bytes.get(), size}; }
};

// Keeps large blocks for the next user: fresh ones would cost page faults at each quarter MiB.
class ChunkPool : public std::enable_shared_from_this<ChunkPool> {
 public:
  static constexpr std::size_t kBlockBytes = 256 * 1024;
  // At most this many bytes get memory of their own size; more take a whole block, so that less
  // than half is lost.
  static constexpr std::size_t kExactBytesMax = 128 * 1024;

  // Uninitialised. REQUIRES: size <= kBlockBytes; the pool is owned by a shared_ptr.
  Chunk make(std::size_t size);

 private:
  static constexpr std::size_t kFreeBlocksMax = 96;
  void give_back(std::uint8_t* block);

  std::mutex mutex_;  // guards free_
  std::vector<std::unique_ptr<std::uint8_t[]>> free_;
};

}  // namespace drover::mover
