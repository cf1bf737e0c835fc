// SPDX-License-Identifier: Apache-2.0
// Streams that QEMU itself wrote. testdata/qemu_7_2_q35.stream.zst: QEMU 7.2, machine pc-q35-7.2
// with 8 MiB and no devices, stopped in its firmware, `migrate exec:cat`; compressed with zstd -19.
#include <algorithm>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "content/compress.h"
#include "content/content_pair_fixture.h"

namespace drover::content {
namespace {

Bytes recorded() {
  constexpr std::size_t kRawBytes = 583379;
  std::ifstream file(DROVER_CONTENT_TESTDATA "/qemu_7_2_q35.stream.zst", std::ios::binary);
  const Bytes packed{std::istreambuf_iterator<char>(file), {}};
  Bytes raw(kRawBytes);
  DROVER_CHECK(decompress(packed, Compression::kZstd, raw));
  return raw;
}

// The record offsets of the stream are some 4 KiB apart: cuts of this step hit all their parts.
constexpr std::size_t kCutStep = 1009;

TEST(RecordedStream, OfQemu72ComesOutAsItWentIn) {
  const Bytes in = recorded();
  ContentPair pair;
  Carried carried = pair.stream(StreamKind::kMemory);
  carried.compression = {Compression::kZstd, 1};
  carried.feed(in);
  carried.flush();
  const ReceivedMemory wanted(in);
  const ReceivedMemory got(carried.output);
  EXPECT_EQ(got.rest, wanted.rest);
  EXPECT_TRUE(got.pages == wanted.pages);
  EXPECT_EQ(wanted.records - got.records, pair.source->tally().same_pages);
  const auto zeros = std::ranges::count_if(
      wanted.pages, [](const auto& page) { return page.second == page_of(0); });
  EXPECT_EQ(pair.source->tally().zero_pages, static_cast<std::uint64_t>(zeros));
  EXPECT_LT(carried.wire_bytes, in.size() / 2);
  EXPECT_TRUE(carried.encoder.urgent()) << "the end of memory was seen";
}

TEST(RecordedStream, OfQemu72MayBeCutAnywhere) {
  const Bytes in = recorded();
  const ReceivedMemory wanted(in);
  for (std::size_t first = 0; first < in.size(); first += kCutStep) {
    ContentPair pair;
    Carried carried = pair.stream(StreamKind::kMemory);
    carried.compression = {};
    carried.feed(std::span(in).first(first));
    carried.flush();
    carried.feed(std::span(in).subspan(first));
    carried.flush();
    const ReceivedMemory got(carried.output);
    ASSERT_EQ(got.rest, wanted.rest) << "cut at " << first;
    ASSERT_TRUE(got.pages == wanted.pages) << "cut at " << first;
  }
}

}  // namespace
}  // namespace drover::content
