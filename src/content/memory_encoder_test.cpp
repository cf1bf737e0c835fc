// SPDX-License-Identifier: Apache-2.0
#include "content/memory_encoder.h"

#include <random>

#include <gtest/gtest.h>

#include "content/content_pair_fixture.h"

namespace drover::content {
namespace {

const MemoryStream::Blocks kBlocks{{"pc.ram", 200}, {"0000:00:01.0/vga.vram", 16}, {"pc.bios", 8}};

// The other side's QEMU must have the same memory and must have read the same other bytes.
void expect_same_meaning(const Bytes& in, const Bytes& out) {
  const ReceivedMemory wanted(in);
  const ReceivedMemory got(out);
  EXPECT_EQ(got.rest, wanted.rest);
  EXPECT_TRUE(got.pages == wanted.pages) << "a page differs";
}

Bytes carry(ContentPair& pair, std::span<const std::uint8_t> stream) {
  Carried carried = pair.stream(StreamKind::kMemory);
  carried.feed(stream);
  carried.flush();
  return carried.output;
}

// Several passes over the blocks: new pages, resent ones, duplicates, zeros.
Bytes random_stream(unsigned seed) {
  std::mt19937 random(seed);
  const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  MemoryStream stream(kBlocks);
  for (unsigned pass = 0; pass < 6; ++pass) {
    pass == 5 ? stream.last_part() : stream.part();
    for (const auto& [name, pages] : kBlocks) {
      for (std::uint64_t number = below(3); number < pages; number += 1u + below(pass * 3 + 1)) {
        const unsigned kind = below(10);
        stream.page(name, number, kind < 3 ? 0 : kind < 6 ? number + 1 : below(1000) + 1);
      }
      if (below(4) == 0) {
        stream.end_section();
        stream.part();
      }
    }
    stream.end_section();
  }
  stream.device_state(3000);
  return stream.bytes;
}

TEST(MemoryEncoder, KeepsTheMeaningOfRandomStreams) {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    ContentPair pair;
    const Bytes in = random_stream(seed);
    const Bytes out = carry(pair, in);
    expect_same_meaning(in, out);
    EXPECT_GT(pair.source->tally().same_pages, 0u);
    EXPECT_GT(pair.source->tally().cached_pages, 0u);
    EXPECT_LT(out.size(), in.size());
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

// Links become fast and slow again: what went without a name is not taken for known.
TEST(MemoryEncoder, KeepsTheMeaningWhileNamesComeAndGo) {
  std::uint64_t same = 0;
  for (unsigned seed = 1; seed <= 40; ++seed) {
    ContentPair pair;
    const Bytes in = random_stream(seed);
    Carried carried = pair.stream(StreamKind::kMemory);
    std::mt19937 random(seed);
    carried.before_encoding = [&] { pair.source->name_content(random() % 2 == 0); };
    for (std::size_t at = 0; at < in.size(); at += 20'000) {
      carried.feed(std::span(in).subspan(at, std::min<std::size_t>(20'000, in.size() - at)));
      if (random() % 2 == 0) carried.flush();
    }
    carried.flush();
    expect_same_meaning(in, carried.output);
    EXPECT_GT(carried.passed, 0u);
    same += pair.source->tally().same_pages;
    if (HasFailure()) FAIL() << "seed " << seed;
  }
  EXPECT_GT(same, 0u);
}

TEST(MemoryEncoder, GivesTheVeryBytesWhereNoPageIsResent) {
  MemoryStream stream(kBlocks);
  stream.part();
  for (std::uint64_t i = 0; i < 200; ++i) stream.page("pc.ram", i, i % 3 == 0 ? 0 : i % 50);
  stream.page("pc.bios", 1, 7);
  stream.page("pc.bios", 5, 7);
  stream.end_section();
  stream.last_part();
  stream.page("pc.ram", 0, 77);
  stream.end_section();
  stream.device_state(500);
  ContentPair pair;
  EXPECT_EQ(carry(pair, stream.bytes), stream.bytes);
  EXPECT_GT(pair.source->tally().cached_pages, 50u);
}

TEST(MemoryEncoder, WithoutReferencesOnlyZeroPagesAreSpared) {
  ContentPair pair({.references = false});
  const Bytes in = random_stream(9);
  EXPECT_EQ(carry(pair, in), in);
  const Tally& tally = pair.source->tally();
  EXPECT_GT(tally.zero_pages, 0u);
  EXPECT_GT(tally.resent_pages, 0u);
  EXPECT_EQ(tally.same_pages + tally.cached_pages + tally.disk_pages, 0u);
}

TEST(MemoryEncoder, MayBeCutAnywhere) {
  MemoryStream stream({{"ram", 8}, {"rom", 2}});
  stream.part();
  for (const std::uint64_t content : {1, 2, 0, 1}) stream.page("ram", content + 1, content);
  stream.page("rom", 0, 2);
  stream.end_section();
  stream.part();
  stream.page("rom", 0, 2);
  stream.page("ram", 2, 1);
  stream.page("ram", 1, 4);
  stream.page("ram", 1, 4);
  stream.end_section();
  stream.device_state(100);
  const Bytes& in = stream.bytes;
  for (std::size_t first = 0; first <= in.size(); ++first) {
    ContentPair pair(kSmallSource, kSmallDestination);
    Carried carried = pair.stream(StreamKind::kMemory);
    carried.compression = {};
    carried.feed(std::span(in).first(first));
    carried.flush();
    carried.feed(std::span(in).subspan(first));
    carried.flush();
    expect_same_meaning(in, carried.output);
    if (HasFailure()) FAIL() << "cut at " << first;
  }
}

TEST(MemoryEncoder, MayComeInPiecesOfAnySize) {
  const Bytes in = random_stream(99);
  for (const std::size_t piece : {1u, 7u, 100u, 4096u, 4104u, 32768u}) {
    ContentPair pair;
    Carried carried = pair.stream(StreamKind::kMemory);
    for (std::size_t at = 0; at < in.size(); at += piece) {
      carried.feed(std::span(in).subspan(at, std::min(piece, in.size() - at)));
      if (at / piece % 3 == 0) carried.flush();
    }
    carried.flush();
    expect_same_meaning(in, carried.output);
    if (HasFailure()) FAIL() << "pieces of " << piece;
  }
}

TEST(MemoryEncoder, WhatIsNotNamedIsNotTakenForKnown) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    const Bytes in = random_stream(seed);
    std::mt19937 random(seed);
    ContentPair pair;
    Carried carried = pair.stream(StreamKind::kMemory);
    for (std::size_t at = 0; at < in.size();) {
      const std::size_t piece = std::min<std::size_t>(in.size() - at, 1 + random() % 200'000);
      pair.source->name_content(random() % 2 == 0);
      carried.feed(std::span(in).subspan(at, piece));
      carried.flush();
      at += piece;
    }
    expect_same_meaning(in, carried.output);
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

TEST(MemoryEncoder, NamesNothingWhileTheLinkIsFast) {
  const Bytes in = random_stream(7);
  ContentPair pair;
  pair.source->name_content(false);
  expect_same_meaning(in, carry(pair, in));
  EXPECT_EQ(pair.source->tally().same_pages + pair.source->tally().cached_pages, 0u);
  EXPECT_GT(pair.source->tally().zero_pages, 0u);
}

TEST(MemoryEncoder, ALooseEndIsLeftForTheNextBatch) {
  MemoryStream stream({{"ram", 200}});
  stream.part();
  for (std::uint64_t i = 0; i < 100; ++i) stream.page("ram", i, i + 1);
  ContentPair pair;
  Encoder encoder(pair.source, StreamKind::kMemory);
  const std::size_t head = stream.bytes.size() - 99 * (8 + kBlockBytes) - kBlockBytes;
  ASSERT_GT(encoder.cut(std::span(stream.bytes).first(head)), 0u);
  encoder.encode(std::span(stream.bytes).first(head + kBlockBytes));
  const auto rest = std::span(stream.bytes).subspan(head + kBlockBytes);
  EXPECT_EQ(encoder.cut(rest), kBatchRawBytesMax / (8 + kBlockBytes) * (8 + kBlockBytes));
  EXPECT_EQ(encoder.cut(rest.first(2 * (8 + kBlockBytes) + 5)), 2 * (8 + kBlockBytes));
  EXPECT_EQ(encoder.cut(rest.first(50)), 50u) << "nothing whole: all of it, if no more comes";
}

TEST(MemoryEncoder, APageSentInTwoHalvesIsNotTakenForKnown) {
  MemoryStream stream({{"ram", 8}});
  stream.part();
  stream.page("ram", 0, 1);
  stream.page("ram", 1, 5);
  const std::size_t before = stream.bytes.size();
  stream.page("ram", 1, 6);
  const std::size_t after = stream.bytes.size();
  stream.page("ram", 1, 5);
  stream.end_section();
  for (const std::size_t at : {before + 3, before + 8, before + 100, after - 1}) {
    ContentPair pair;
    Carried carried = pair.stream(StreamKind::kMemory);
    carried.feed(std::span(stream.bytes).first(at));
    carried.flush();
    carried.feed(std::span(stream.bytes).subspan(at));
    carried.flush();
    EXPECT_EQ(ReceivedMemory(carried.output).pages.at({"ram", 1}), page_of(5));
    EXPECT_EQ(pair.source->tally().same_pages, 0u);
  }
}

TEST(MemoryEncoder, AZeroedPageIsNotTakenForUnchanged) {
  MemoryStream stream({{"ram", 8}});
  stream.part();
  for (const std::uint64_t content : {1, 5, 0, 5})
    stream.page("ram", content == 1 ? 0 : 1, content);
  stream.end_section();
  ContentPair pair;
  const ReceivedMemory got(carry(pair, stream.bytes));
  EXPECT_EQ(got.pages.at({"ram", 1}), page_of(5));
  EXPECT_EQ(pair.source->tally().same_pages, 0u);
}

TEST(MemoryEncoder, AMissedRangeDisturbsNothing) {
  // The receiver's cache is far smaller than the sender thinks: most references miss.
  for (unsigned seed = 1; seed <= 10; ++seed) {
    ContentPair pair({}, {.cache_bytes = 20 * kBlockBytes});
    const Bytes in = random_stream(seed);
    Carried carried = pair.stream(StreamKind::kMemory);
    carried.feed(in);
    carried.flush();
    EXPECT_GT(carried.misses, 0u);
    expect_same_meaning(in, carried.output);
  }
}

TEST(MemoryEncoder, WhatItDoesNotKnowPassesUnchanged) {
  const auto with = [](auto change) {
    MemoryStream stream({{"ram", 8}});
    stream.part();
    stream.page("ram", 0, 1);
    stream.page("ram", 1, 2);
    change(stream);
    stream.page("ram", 1, 2);
    stream.page("ram", 2, 2);
    stream.end_section();
    stream.device_state(10);
    return stream.bytes;
  };
  const Bytes streams[] = {
      with([](auto& s) { add_be<std::uint64_t>(s.bytes, 0x1040); }),  // XBZRLE
      with([](auto& s) { add_be<std::uint64_t>(s.bytes, 0x2120); }),  // compressed by QEMU
      with([](auto& s) { s.page("ram", 8, 3); }),                     // beyond its block
      with([](auto& s) { s.page("other", 0, 3); }),                   // a block not listed
      with([](auto& s) {
        s.end_section();
        s.command(3, Bytes(16));
      }),  // post-copy
      with([](auto& s) {
        s.end_section();
        s.device_state(5000);
      }),  // an early section
      with([](auto& s) { s.bytes.insert(s.bytes.end(), 300, 0x55); }),
  };
  for (const Bytes& in : streams) {
    ContentPair pair;
    EXPECT_EQ(carry(pair, in), in);
    EXPECT_EQ(pair.source->tally().same_pages, 0u) << "unknown from there on";
  }
  Bytes multifd;
  add_be<std::uint32_t>(multifd, 0x11223344);
  multifd.resize(50000, 3);
  ContentPair pair;
  EXPECT_EQ(carry(pair, multifd), multifd);
}

TEST(MemoryEncoder, DropsNothingOnceASecondStreamWritesMemory) {
  MemoryStream stream({{"ram", 8}});
  stream.part();
  for (const std::uint64_t content : {1, 2, 2, 2}) stream.page("ram", content, content);
  stream.end_section();
  ContentPair pair;
  Encoder other(pair.source, StreamKind::kMemory);
  EXPECT_EQ(carry(pair, stream.bytes), stream.bytes);
}

TEST(MemoryEncoder, KnowsWhenTheGuestHasStopped) {
  MemoryStream stream({{"ram", 8}});
  stream.part();
  stream.page("ram", 0, 1);
  stream.end_section();
  ContentPair pair;
  Encoder encoder(pair.source, StreamKind::kMemory);
  encoder.encode(stream.bytes);
  EXPECT_FALSE(encoder.urgent());
  const std::size_t before = stream.bytes.size();
  stream.last_part();
  stream.page("ram", 0, 2);
  const auto last = std::span(stream.bytes).subspan(before);
  EXPECT_EQ(encoder.cut(last.first(30)), 30u) << "nothing waits for a whole record";
  encoder.encode(last);
  EXPECT_TRUE(encoder.urgent());
}

}  // namespace
}  // namespace drover::content
