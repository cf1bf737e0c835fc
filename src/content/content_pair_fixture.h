// SPDX-License-Identifier: Apache-2.0
// For tests: both ends of a move's content, with the frames between them.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "content/decoder.h"
#include "content/encoder.h"
#include "content/memory_stream_fixture.h"

namespace drover::content {

// One stream, from the source's local socket to the destination's.
class Carried {
 public:
  Carried(std::shared_ptr<SourceContent> source, std::shared_ptr<DestinationContent> destination,
          StreamKind kind)
      : encoder(source, kind), decoder(destination) {}

  // As the session does it: what came and was not encoded is kept until more comes.
  void feed(std::span<const std::uint8_t> raw) {
    kept_.insert(kept_.end(), raw.begin(), raw.end());
    while (kept_.size() >= kBatchRawBytesMax) send(encoder.cut(kept_));
  }
  // No more bytes for now: all goes, whole records or not.
  void flush() {
    while (!kept_.empty()) send(encoder.cut(kept_));
  }

  Bytes output;
  std::uint64_t wire_bytes = 0;
  std::uint64_t misses = 0;
  Compression compression{Compression::kLz4, 1};
  std::uint64_t passed = 0;               // ranges that went as they were
  std::function<void()> before_encoding;  // of each range
  std::function<void()> on_the_way;       // between encoding and decoding
  Encoder encoder;
  Decoder decoder;

 private:
  void send(std::size_t size) {
    ASSERT_GT(size, 0u);
    ASSERT_LE(size, kBatchRawBytesMax);
    const Bytes raw(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(size));
    kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(size));
    if (before_encoding) before_encoding();
    if (encoder.passes(raw)) {
      ++passed;
      wire_bytes += raw.size();
      output.insert(output.end(), raw.begin(), raw.end());
      return;
    }
    const Batch batch = encoder.encode(raw);
    ASSERT_LE(kPackedHeaderBytes + batch.ops.size() + batch.literals.size(),
              raw.size() + kPackedOverheadMax);
    if (on_the_way) on_the_way();
    auto got = receive(batch, raw.size());
    if (!got) {
      ++misses;
      got = receive(mend(raw, batch.ops), raw.size());
    }
    ASSERT_TRUE(got) << "a mended range missed";
    ASSERT_LE(got->size(), raw.size());
    output.insert(output.end(), got->begin(), got->end());
  }
  std::optional<Bytes> receive(const Batch& batch, std::size_t raw_length) {
    const Bytes payload = pack(batch, compression);
    wire_bytes += payload.size();
    auto unpacked = unpack(payload, raw_length);
    EXPECT_TRUE(unpacked) << unpacked.error().text();
    auto bytes = decoder.decode(*unpacked, raw_length);
    EXPECT_TRUE(bytes) << bytes.error().text();
    return bytes ? std::move(*bytes) : std::nullopt;
  }

  Bytes kept_;
};

inline constexpr ContentKey kTestKey{7};

// The name of page_of(content) in a ContentPair.
inline Name name_of_page(std::uint64_t content) {
  const Bytes page = page_of(content);
  return Namer(kTestKey).name(std::span(page).first<kBlockBytes>());
}

// For tests that make very many pairs: indexes and caches that cost nothing.
inline constexpr SourceLimits kSmallSource{.index_bytes = 64 * kBlockBytes,
                                           .cache_bytes = 64 * kBlockBytes};
inline constexpr DestinationLimits kSmallDestination{.cache_bytes = 64 * kBlockBytes};

struct ContentPair {
  explicit ContentPair(SourceLimits at_source = {}, DestinationLimits at_destination = {},
                       std::shared_ptr<DiskReader> disks = {})
      : source(std::make_shared<SourceContent>(kTestKey, at_source)),
        destination(
            std::make_shared<DestinationContent>(kTestKey, std::move(disks), at_destination)) {
    source->refer_to_disks(true);
  }
  Carried stream(StreamKind kind) { return {source, destination, kind}; }

  std::shared_ptr<SourceContent> source;
  std::shared_ptr<DestinationContent> destination;
};

}  // namespace drover::content
