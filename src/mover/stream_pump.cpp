// SPDX-License-Identifier: Apache-2.0
#include "mover/stream_pump.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

namespace drover::mover {
namespace {

// The session wakes both loops by shutdown(2); these are for the case that it could not.
constexpr int kReadWaitMs = 10'000;
constexpr timeval kSendWait{1, 0};
constexpr int kLocalBufferBytes = 512 * 1024;

// Small reads get memory of their own size, so that the large block stays for the next one.
Chunk fit(const Chunk& block, std::size_t bytes, ChunkPool& pool) {
  Chunk chunk = pool.make(bytes);
  std::memcpy(chunk.bytes.get(), block.bytes.get(), bytes);
  return chunk;
}

enum class Written { kAll, kReaderGone };

Written write_chunk(StreamOwner& owner, Stream& stream, const Chunk& chunk) {
  auto left = chunk.view();
  while (!left.empty()) {
    const ssize_t n = ::send(stream.local.get(), left.data(), left.size(), MSG_NOSIGNAL);
    if (n > 0) {
      owner.wrote(stream, static_cast<std::size_t>(n));
      left = left.subspan(static_cast<std::size_t>(n));
    } else if (n < 0 && errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) {
      return Written::kReaderGone;
    }
  }
  return Written::kAll;
}

}  // namespace

void prepare_local_socket(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags >= 0) ::fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &kSendWait, sizeof kSendWait);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kLocalBufferBytes, sizeof kLocalBufferBytes);
}

void pump_from_local(StreamOwner& owner, Stream& stream, const std::shared_ptr<ChunkPool>& pool) {
  Chunk block = pool->make(ChunkPool::kBlockBytes);
  while (true) {
    // Readable first, then the reservation: a silent stream holds nothing back from the others.
    pollfd entry{stream.local.get(), POLLIN, 0};
    const int ready = ::poll(&entry, 1, kReadWaitMs);
    if (ready < 0 && errno != EINTR) break;
    const std::size_t room = owner.reserve(stream);
    if (room == 0) break;
    const ssize_t n =
        ::recv(stream.local.get(), block.bytes.get(), std::min(room, block.size), MSG_DONTWAIT);
    const int reason = n < 0 ? errno : 0;
    if (n <= 0) {
      owner.took(stream, {});
      if (reason == EAGAIN || reason == EWOULDBLOCK || reason == EINTR) continue;
      // ECONNRESET too: the local side closed without reading all; what it wrote has been taken.
      break;
    }
    const auto bytes = static_cast<std::size_t>(n);
    if (bytes <= ChunkPool::kExactBytesMax) {
      owner.took(stream, fit(block, bytes, *pool));
    } else {
      block.size = bytes;
      owner.took(stream, std::move(block));
      block = pool->make(ChunkPool::kBlockBytes);
    }
  }
  owner.reading_ended(stream);
}

void pump_to_local(StreamOwner& owner, Stream& stream) {
  while (auto chunk = owner.next_to_write(stream)) {
    if (write_chunk(owner, stream, *chunk) == Written::kReaderGone) owner.local_reader_gone(stream);
  }
  ::shutdown(stream.local.get(), SHUT_WR);
  owner.writing_ended(stream);
}

}  // namespace drover::mover
