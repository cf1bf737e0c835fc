// SPDX-License-Identifier: Apache-2.0
// The two loops between a stream and its local socket, each the body of a thread. They know no
// frames.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "content/batch.h"
#include "mover/chunk.h"
#include "mover/stream.h"

namespace drover::mover {

// What the reading loop of a stream with content took: bytes, what describes them, and how many
// more it took and keeps for the next range.
struct Range {
  Chunk raw;
  content::Batch batch;
  bool plain = false;  // it goes as it is, and `batch` is empty
  std::size_t kept = 0;
  std::chrono::nanoseconds encoding{0};  // processor time
};

// The session, as the loops see it. Called on their threads.
class StreamOwner {
 public:
  virtual ~StreamOwner() = default;

  // Waits until bytes may be taken from the local socket and reserves them. 0: read no more.
  virtual std::size_t reserve(Stream& stream) = 0;
  // Before a large range of this stream is encoded: waits while names of content come that might
  // save it.
  virtual void await_names(Stream& stream) = 0;
  // Ends the reservation. The chunk may be empty: nothing was there.
  virtual void took(Stream& stream, Chunk chunk) = 0;
  // Likewise, of a stream with content; may also be called without a reservation.
  virtual void took_range(Stream& stream, Range range) = 0;
  // No more bytes will be taken. Last call of the reading loop.
  virtual void reading_ended(Stream& stream) = 0;

  // Waits for bytes to write. Nothing: shut the socket's writing side down and end.
  virtual std::optional<Frame> next_to_write(Stream& stream) = 0;
  // So many raw bytes of it are written.
  virtual void wrote(Stream& stream, std::size_t bytes) = 0;
  // It refers to content that is not held: what next_to_write() gives next is its answer.
  virtual void missed(Stream& stream, const FrameHeader& header) = 0;
  // It cannot be decoded at all.
  virtual void broken(Stream& stream, const Error& error) = 0;
  // Nobody reads the local socket any more: throw away what comes.
  virtual void local_reader_gone(Stream& stream) = 0;
  // Last call of the writing loop.
  virtual void writing_ended(Stream& stream) = 0;
};

void pump_from_local(StreamOwner& owner, Stream& stream, const std::shared_ptr<ChunkPool>& pool);
// The same for a stream with an encoder.
void encode_from_local(StreamOwner& owner, Stream& stream, const std::shared_ptr<ChunkPool>& pool);
void pump_to_local(StreamOwner& owner, Stream& stream);

// Before the loops start: blocking mode, and a send that returns now and then.
void prepare_local_socket(int fd);

}  // namespace drover::mover
