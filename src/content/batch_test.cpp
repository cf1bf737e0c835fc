// SPDX-License-Identifier: Apache-2.0
#include "content/batch.h"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "base/big_endian.h"
#include "content/encoder.h"

namespace drover::content {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes noise(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

Bytes text(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>("drover "[i % 7]);
  return bytes;
}

const Compression kAll[] = {{Compression::kNone, 0},  {Compression::kLz4, 1},
                            {Compression::kLz4, 8},   {Compression::kZstd, 1},
                            {Compression::kZstd, -5}, {Compression::kZstd, 9}};

TEST(Pack, GivesTheBatchBackByEveryMethod) {
  for (const auto compression : kAll) {
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{5000}, kBatchRawBytesMax}) {
      for (const Bytes& raw : {text(size), noise(size, 1)}) {
        const Batch batch = literal_batch(raw);
        const Bytes payload = pack(batch, compression);
        EXPECT_LE(payload.size(), size + kPackedOverheadMax);
        const auto back = unpack(payload, size);
        ASSERT_TRUE(back) << back.error().text();
        EXPECT_EQ(*back, batch) << compression.method << " of " << size;
      }
    }
  }
}

TEST(Pack, ShrinksWhatCanShrinkAndStoresTheRest) {
  EXPECT_LT(pack(literal_batch(text(100000)), {Compression::kLz4, 1}).size(), 2000u);
  EXPECT_LT(pack(literal_batch(text(100000)), {Compression::kZstd, 1}).size(), 500u);
  const Bytes stored = pack(literal_batch(noise(100000, 2)), {Compression::kZstd, 1});
  EXPECT_EQ(stored[0], Compression::kNone);
}

TEST(Pack, TheLargestBatchFitsAFrame) {
  // 256 KiB is mover/frame.h's kPayloadBytesMax, which this folder cannot see.
  EXPECT_LE(kBatchRawBytesMax + kPackedOverheadMax, 256u * 1024);
}

TEST(Unpack, RefusesToGiveMoreThanTheFrameCovers) {
  const Bytes payload = pack(literal_batch(text(100000)), {Compression::kZstd, 1});
  EXPECT_TRUE(unpack(payload, 100000));
  EXPECT_FALSE(unpack(payload, 99999));
  // 4 GiB announced by a frame of 1 MiB: refused before any memory is taken.
  Bytes bomb = payload;
  store_be<std::uint32_t>(bomb.data() + 8, 0xffffffff);
  EXPECT_FALSE(unpack(bomb, 1u << 20));
}

TEST(Unpack, RefusesBrokenHeaders) {
  const Bytes good = pack(literal_batch(text(1000)), {Compression::kLz4, 1});
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(unpack(std::span(good).first(size), 1000)) << "cut to " << size;
  }
  for (const std::size_t at : {0u, 1u, 2u, 3u, 4u}) {
    Bytes bad = good;
    bad[at] ^= 0x40;
    EXPECT_FALSE(unpack(bad, 1000)) << at;
  }
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(unpack(longer, 1000)) << "bytes after the end";
  Bytes skipped = pack(literal_batch(text(1000)), {Compression::kZstd, 1});
  const Bytes skippable = {0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4};
  const std::size_t ops = load_be<std::uint32_t>(skipped.data() + 4);
  skipped.insert(skipped.begin() + static_cast<std::ptrdiff_t>(kPackedHeaderBytes + ops),
                 skippable.begin(), skippable.end());
  EXPECT_FALSE(unpack(skipped, 1000)) << "a frame to skip before the frame";
  Bytes other_method = good;
  other_method[0] = Compression::kZstd;
  EXPECT_FALSE(unpack(other_method, 1000));
}

TEST(Unpack, SurvivesAnyFlippedBit) {
  for (const auto compression : kAll) {
    const Bytes good = pack(literal_batch(text(700)), compression);
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
      Bytes bad = good;
      bad[bit / 8] = static_cast<std::uint8_t>(bad[bit / 8] ^ 1u << bit % 8);
      const auto back = unpack(bad, 700);
      EXPECT_TRUE(!back || back->literals.size() <= 700u) << bit;
    }
  }
}

TEST(Encoder, PassesBytesOfUnknownStreamsThrough) {
  Encoder encoder(std::make_shared<SourceContent>(ContentKey{}), StreamKind::kOpaque);
  const Bytes raw = noise(kBatchRawBytesMax + 5, 3);
  EXPECT_EQ(encoder.cut({}), 0u);
  EXPECT_EQ(encoder.cut(std::span(raw).first(7)), 7u);
  ASSERT_EQ(encoder.cut(raw), kBatchRawBytesMax);
  const Batch batch = encoder.encode(std::span(raw).first(kBatchRawBytesMax));
  EXPECT_EQ(batch, literal_batch(std::span(raw).first(kBatchRawBytesMax)));
  EXPECT_EQ(mend(std::span(raw).first(kBatchRawBytesMax), batch.ops), batch);
}

}  // namespace
}  // namespace drover::content
