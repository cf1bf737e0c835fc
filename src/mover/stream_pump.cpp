// SPDX-License-Identifier: Apache-2.0
#include "mover/stream_pump.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "mover/limits.h"
#include "mover/processor_time.h"

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

// `written` is called with each part.
template <typename OnPart>
Written write_bytes(int fd, std::span<const std::uint8_t> left, OnPart written) {
  while (!left.empty()) {
    const ssize_t n = ::send(fd, left.data(), left.size(), MSG_NOSIGNAL);
    if (n > 0) {
      written(static_cast<std::size_t>(n));
      left = left.subspan(static_cast<std::size_t>(n));
    } else if (n < 0 && errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) {
      return Written::kReaderGone;
    }
  }
  return Written::kAll;
}

Written write_data(StreamOwner& owner, Stream& stream, const Chunk& chunk) {
  if (stream.encoder) stream.encoder->take_answers(chunk.view());
  if (stream.writes) stream.writes->take_requests(chunk.view());
  return write_bytes(stream.local.get(), chunk.view(),
                     [&](std::size_t bytes) { owner.wrote(stream, bytes); });
}

// Nothing: a miss.
Result<std::optional<std::vector<std::uint8_t>>> rebuild(Stream& stream, const Frame& frame) {
  const std::size_t raw_length = frame.header.raw_length;
  ASSIGN_OR_RETURN(const content::Batch batch,
                   stream.decoder->unpack(frame.payload.view(), raw_length));
  ASSIGN_OR_RETURN(auto bytes, stream.decoder->decode(batch, raw_length));
  if (!bytes && (frame.header.flags & kPackedLiteral) != 0) {
    return fail(ErrorCode::kProtocol,
                "The other mover refers to content in a range that is said to have no references.");
  }
  return bytes;
}

Written write_packed(StreamOwner& owner, Stream& stream, const Frame& frame) {
  const auto bytes = rebuild(stream, frame);
  if (!bytes) {
    owner.broken(stream, bytes.error());
    return Written::kReaderGone;
  }
  if (!*bytes) {
    owner.missed(stream, frame.header);
    return Written::kAll;
  }
  if (stream.writes) stream.writes->take_requests(**bytes);
  // What was rebuilt need not be as long as the range: it counts once all is written.
  const Written written = write_bytes(stream.local.get(), **bytes, [](std::size_t) {});
  if (written == Written::kAll) owner.wrote(stream, frame.header.raw_length);
  return written;
}

bool is_readable(int fd, int wait_ms) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, wait_ms) > 0;
}

// The bytes that an encoding loop has read and not yet handed out, at the start of a block.
class Unencoded {
 public:
  explicit Unencoded(std::shared_ptr<ChunkPool> pool) : pool_(std::move(pool)) {}

  std::size_t size() const { return size_; }
  std::span<const std::uint8_t> view() const { return block_.view().first(size_); }
  std::span<std::uint8_t> space(std::size_t most) {
    const auto left = block_.writable().first(content::kBatchRawBytesMax).subspan(size_);
    return left.first(std::min(most, left.size()));
  }
  void filled(std::size_t bytes) { size_ += bytes; }

  // The first `bytes` become a chunk of their own, without a copy if they are most of the block.
  Chunk take(std::size_t bytes) {
    const std::size_t rest = size_ - bytes;
    Chunk taken;
    if (bytes <= ChunkPool::kExactBytesMax) {
      taken = fit(block_, bytes, *pool_);
      std::memmove(block_.bytes.get(), block_.bytes.get() + bytes, rest);
    } else {
      taken = std::exchange(block_, pool_->make(ChunkPool::kBlockBytes));
      std::memcpy(block_.bytes.get(), taken.bytes.get() + bytes, rest);
      taken.size = bytes;
    }
    size_ = rest;
    return taken;
  }

 private:
  const std::shared_ptr<ChunkPool> pool_;
  Chunk block_ = pool_->make(ChunkPool::kBlockBytes);
  std::size_t size_ = 0;
};

void hand_out(StreamOwner& owner, Stream& stream, Unencoded& unencoded, std::size_t bytes) {
  if (bytes > kSmallRangeBytes) owner.await_names(stream);
  Range range;
  const auto started = thread_processor_time();
  const auto raw = unencoded.view().first(bytes);
  range.plain = stream.encoder->passes(raw);
  if (!range.plain) range.batch = stream.encoder->encode(raw);
  range.encoding = thread_processor_time() - started;
  range.raw = unencoded.take(bytes);
  range.kept = unencoded.size();
  owner.took_range(stream, std::move(range));
}

enum class Read { kSome, kNothing, kEnd };

Read read_some(StreamOwner& owner, Stream& stream, Unencoded& unencoded) {
  const std::size_t room = owner.reserve(stream);
  if (room == 0) return Read::kEnd;
  const auto space = unencoded.space(room);
  const ssize_t n = ::recv(stream.local.get(), space.data(), space.size(), MSG_DONTWAIT);
  const int reason = n < 0 ? errno : 0;
  if (n > 0) {
    unencoded.filled(static_cast<std::size_t>(n));
    return Read::kSome;
  }
  Range nothing;
  nothing.kept = unencoded.size();
  owner.took_range(stream, std::move(nothing));
  const bool again = reason == EAGAIN || reason == EWOULDBLOCK || reason == EINTR;
  return again ? Read::kNothing : Read::kEnd;
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
    // Before the other side can hear of them: what it knows to be written is in the record.
    if (stream.writes) stream.writes->take_answers(block.view().first(bytes));
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

void encode_from_local(StreamOwner& owner, Stream& stream, const std::shared_ptr<ChunkPool>& pool) {
  Unencoded unencoded(pool);
  const int fd = stream.local.get();
  while (true) {
    // Of a record's beginning the rest is awaited for a moment; then it goes out as it is.
    const int keep_ms = stream.encoder->urgent() ? 0 : static_cast<int>(kKeepWait.count());
    if (!is_readable(fd, unencoded.size() == 0 ? kReadWaitMs : keep_ms)) {
      if (unencoded.size() > 0) hand_out(owner, stream, unencoded, unencoded.size());
      continue;
    }
    const Read read = read_some(owner, stream, unencoded);
    if (read == Read::kEnd) break;
    if (read == Read::kSome)
      hand_out(owner, stream, unencoded, stream.encoder->cut(unencoded.view()));
  }
  if (unencoded.size() > 0) hand_out(owner, stream, unencoded, unencoded.size());
  owner.reading_ended(stream);
}

void pump_to_local(StreamOwner& owner, Stream& stream) {
  while (const auto frame = owner.next_to_write(stream)) {
    const bool packed = frame->header.type == FrameType::kPacked;
    const Written written =
        packed ? write_packed(owner, stream, *frame) : write_data(owner, stream, frame->payload);
    if (written == Written::kReaderGone) owner.local_reader_gone(stream);
  }
  ::shutdown(stream.local.get(), SHUT_WR);
  owner.writing_ended(stream);
}

}  // namespace drover::mover
