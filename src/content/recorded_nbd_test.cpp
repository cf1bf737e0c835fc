// SPDX-License-Identifier: Apache-2.0
// NBD as QEMU itself speaks it: testdata/record_nbd.py recorded qemu-img and qemu-nbd of
// QEMU 7.2.22 (structured replies negotiated, writes answered by simple ones) and 10.0.13 (extended
// headers).
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "content/compress.h"
#include "content/content_pair_fixture.h"

namespace drover::content {
namespace {

constexpr std::uint64_t kBlocks = 128;  // of the image

struct Recording {
  const char* name;
  std::size_t bytes;
};
constexpr Recording kRecordings[] = {{"qemu_7_2", 397117}, {"qemu_10_0", 398396}};

Bytes read(const Recording& recording) {
  std::ifstream file(std::string(DROVER_CONTENT_TESTDATA "/") + recording.name + ".nbd.zst",
                     std::ios::binary);
  const Bytes packed{std::istreambuf_iterator<char>(file), {}};
  Bytes bytes(recording.bytes);
  DROVER_CHECK(decompress(packed, Compression::kZstd, bytes));
  return bytes;
}

std::optional<DiskBlock> find(const SourceContent& source, std::uint64_t number) {
  Bytes content;
  while (content.size() < kBlockBytes) add_be(content, number);
  return source.find_on_disk(Namer(kTestKey).name(std::span(content).first<kBlockBytes>()));
}

class RecordedNbd : public testing::TestWithParam<Recording> {};

TEST_P(RecordedNbd, EveryAnsweredBlockIsKnown) {
  const Bytes parts = read(GetParam());
  ContentPair pair;
  Carried carried = pair.stream(StreamKind::kDisk);
  Bytes client;
  for (auto rest = std::span(parts); !rest.empty();) {
    const bool from_server = rest[0] == 1;
    const auto said = rest.subspan(5, load_be<std::uint32_t>(rest.data() + 1));
    rest = rest.subspan(5 + said.size());
    if (from_server) {
      carried.encoder.take_answers(said);
      continue;
    }
    client.insert(client.end(), said.begin(), said.end());
    carried.feed(said);
    carried.flush();
  }
  EXPECT_EQ(carried.output, client);
  for (std::uint64_t number = 1; number <= kBlocks; ++number) {
    const auto at = find(*pair.source, number);
    const bool zeros = number % 4 == 0;
    EXPECT_EQ(at.has_value(), !zeros) << number;
    EXPECT_EQ(at.value_or(DiskBlock{0, number - 1}), (DiskBlock{0, number - 1}));
  }
}

TEST_P(RecordedNbd, NothingIsKnownWithoutTheAnswers) {
  const Bytes parts = read(GetParam());
  ContentPair pair;
  Carried carried = pair.stream(StreamKind::kDisk);
  for (auto rest = std::span(parts); !rest.empty();) {
    const auto said = rest.subspan(5, load_be<std::uint32_t>(rest.data() + 1));
    if (rest[0] == 0) carried.feed(said);
    rest = rest.subspan(5 + said.size());
  }
  carried.flush();
  for (std::uint64_t number = 1; number <= kBlocks; ++number) {
    EXPECT_FALSE(find(*pair.source, number));
  }
}

INSTANTIATE_TEST_SUITE_P(Qemu, RecordedNbd, testing::ValuesIn(kRecordings),
                         [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace drover::content
