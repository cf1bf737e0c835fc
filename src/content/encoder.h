// SPDX-License-Identifier: Apache-2.0
// Turns one outgoing stream into batches. One thread, in stream order, except where noted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "content/batch.h"
#include "content/source_content.h"

namespace drover::content {

enum class StreamKind {
  kOpaque,  // bytes
  kMemory,  // QEMU's migration stream; a multifd channel is recognised and passes as bytes
  kDisk,    // NBD from the client's side
};

// How a kind of stream is described; memory_encoder.h and disk_encoder.h have the others.
class StreamEncoder {
 public:
  virtual ~StreamEncoder() = default;
  virtual std::size_t cut(std::span<const std::uint8_t> raw) const;
  virtual bool passes(std::span<const std::uint8_t>) { return false; }
  virtual Batch encode(std::span<const std::uint8_t> raw);
  virtual void take_answers(std::span<const std::uint8_t>) {}
  virtual bool urgent() const { return false; }
};

class Encoder {
 public:
  Encoder(std::shared_ptr<SourceContent> content, StreamKind kind);

  // How many of the bytes at hand make a good batch: 0 only if `raw` is empty, at most
  // kBatchRawBytesMax. What it leaves is a record's beginning: keep it and ask again with more
  // bytes; if none come within a few milliseconds, or the stream ends, encode it as it is.
  std::size_t cut(std::span<const std::uint8_t> raw) const { return stream_->cut(raw); }
  // Whether the next range goes as it is, because nothing is named now: on a fast link a
  // description saves less than it costs. True: it has been taken note of, and is not to be
  // encoded.
  bool passes(std::span<const std::uint8_t> raw) { return stream_->passes(raw); }
  // The next range of the stream, of any length up to kBatchRawBytesMax. Never fails: what is not
  // understood is literal, and a stream that turns unknown is bytes from there on.
  Batch encode(std::span<const std::uint8_t> raw) { return stream_->encode(raw); }

  // Bytes of the other direction, in order, before or after they were written to the local socket:
  // of a disk, a write that was answered is content that the destination holds. May be called from
  // a thread of its own.
  void take_answers(std::span<const std::uint8_t> bytes) { stream_->take_answers(bytes); }

  // What packs this stream's ranges as one frame, if it may have one; null: each stands alone. For
  // one thread at a time, in the order of the ranges.
  std::shared_ptr<RunningPacker> running();

  // From the guest's stop on: send at once, wait for no fuller batch. Any thread.
  bool urgent() const { return stream_->urgent(); }

 private:
  const std::shared_ptr<SourceContent> content_;
  const StreamKind kind_;
  std::unique_ptr<StreamEncoder> stream_;
  std::shared_ptr<RunningPacker> running_;
  bool asked_for_running_ = false;
};

}  // namespace drover::content
