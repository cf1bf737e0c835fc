// SPDX-License-Identifier: Apache-2.0
// Streams that QEMU itself wrote: testdata/record_stream.py made them, QEMU 7.2.22 with machine
// pc-i440fx-7.2 and QEMU 10.0.13 with pc-i440fx-10.0, several passes each; of multifd the main
// channel.
#include <algorithm>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "content/compress.h"
#include "content/content_pair_fixture.h"

namespace drover::content {
namespace {

struct Recording {
  const char* name;
  std::size_t raw_bytes;
  bool pages;    // not all of them are on other channels
  bool records;  // any, zero pages too
};
constexpr Recording kRecordings[] = {{"qemu_7_2", 1537480, true, true},
                                     {"qemu_10_0", 10161042, true, true},
                                     {"qemu_7_2_multifd", 129598, false, true},
                                     {"qemu_10_0_multifd", 113532, false, false}};

Bytes read(const Recording& recording) {
  std::ifstream file(std::string(DROVER_CONTENT_TESTDATA "/") + recording.name + ".stream.zst",
                     std::ios::binary);
  const Bytes packed{std::istreambuf_iterator<char>(file), {}};
  Bytes raw(recording.raw_bytes);
  DROVER_CHECK(decompress(packed, Compression::kZstd, raw));
  return raw;
}

class RecordedStream : public testing::TestWithParam<Recording> {};

TEST_P(RecordedStream, ComesOutMeaningWhatWentIn) {
  const Bytes in = read(GetParam());
  ContentPair pair;
  Carried carried = pair.stream(StreamKind::kMemory);
  carried.compression = {Compression::kZstd, 1};
  carried.feed(in);
  carried.flush();
  const ReceivedMemory wanted(in);
  const ReceivedMemory got(carried.output);
  EXPECT_EQ(got.rest, wanted.rest);
  EXPECT_TRUE(got.pages == wanted.pages);
  const Tally& tally = pair.source->tally();
  EXPECT_EQ(wanted.records - got.records, tally.same_pages);
  EXPECT_EQ(wanted.records,
            tally.zero_pages + tally.same_pages + tally.cached_pages + tally.literal_pages)
      << "every record was understood";
  EXPECT_EQ(wanted.records > 0, GetParam().records);
  EXPECT_EQ(tally.same_pages > 0, GetParam().pages);
  EXPECT_LT(carried.wire_bytes, in.size() / 5);
  EXPECT_TRUE(carried.encoder.urgent()) << "the end of memory was seen";
  EXPECT_TRUE(GetParam().pages || carried.output == in);
}

TEST_P(RecordedStream, MayBeCutAnywhere) {
  constexpr std::size_t kCuts = 41;  // spread over the stream, each into another part of a record
  const Bytes in = read(GetParam());
  const ReceivedMemory wanted(in);
  for (std::size_t i = 1; i < kCuts; ++i) {
    const std::size_t first = in.size() / kCuts * i + i;
    ContentPair pair(kSmallSource, kSmallDestination);
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

INSTANTIATE_TEST_SUITE_P(Qemu, RecordedStream, testing::ValuesIn(kRecordings),
                         [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace drover::content
