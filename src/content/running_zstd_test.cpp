// SPDX-License-Identifier: Apache-2.0
#include "content/running_zstd.h"

#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>
#include <zstd.h>

#include "content/batch.h"
#include "content/decoder.h"
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

struct Part {
  Bytes bytes;
  bool begins;
};

Part pack_part(RunningPacker& packer, const Bytes& from, int level) {
  Bytes to(from.size() + kRunningOverheadMax);
  const RunningPart part = packer.pack(from, level, to);
  EXPECT_GT(part.size, 0u);
  to.resize(part.size);
  return {to, part.begins};
}

TEST(RunningZstd, EachPartIsCompleteWhateverItHolds) {
  RunningPacker packer;
  RunningUnpacker unpacker;
  std::mt19937 random(1);
  for (unsigned i = 0; i < 300; ++i) {
    const std::size_t size = i % 5 == 0 ? kBatchRawBytesMax : 1 + random() % 20'000;
    const Bytes from = i % 3 == 0 ? Bytes(size, 7) : noise(size, i % 40);
    const Part part = pack_part(packer, from, i < 200 ? 7 : 3);
    EXPECT_EQ(part.begins, i == 0 || i == 200) << i;
    Bytes back(size);
    ASSERT_TRUE(unpacker.unpack(part.bytes, part.begins, back)) << i;
    ASSERT_EQ(back, from) << i;
  }
}

TEST(RunningZstd, RepeatsWhatWasSentLongAgo) {
  for (const int level : {2, 3, 7}) {
    RunningPacker packer;
    const Bytes known = noise(100'000, 1);
    EXPECT_GT(pack_part(packer, known, level).bytes.size(), known.size());
    for (int i = 0; i < 8; ++i)
      pack_part(packer, Bytes(250'000, static_cast<std::uint8_t>(i)), level);
    EXPECT_LT(pack_part(packer, known, level).bytes.size(), known.size() / 10) << level;
  }
}

TEST(RunningZstd, WhatIsNoPartInItsTurnIsRefused) {
  RunningPacker packer;
  const Bytes from = noise(5000, 3);
  const Part first = pack_part(packer, from, 7);
  const Part second = pack_part(packer, from, 7);
  Bytes back(from.size());
  EXPECT_FALSE(RunningUnpacker().unpack(first.bytes, false, back)) << "nothing has begun";
  const auto refuses = [&](Bytes bad, std::size_t size) {
    RunningUnpacker unpacker;
    Bytes out(size);
    EXPECT_FALSE(unpacker.unpack(bad, true, out));
    Bytes next(from.size());
    EXPECT_FALSE(unpacker.unpack(second.bytes, false, next)) << "after it nothing is unpacked";
  };
  refuses(first.bytes, from.size() + 1);
  refuses(first.bytes, from.size() - 1);
  refuses(first.bytes, 0);
  refuses({first.bytes.begin(), first.bytes.end() - 1}, from.size());
  refuses({}, from.size());
  Bytes two = first.bytes;
  two.insert(two.end(), second.bytes.begin(), second.bytes.end());
  refuses(two, from.size());
  // The beginning of another block is noticed when it does not go on.
  RunningUnpacker unpacker;
  Bytes longer = first.bytes;
  longer.push_back(0);
  unpacker.unpack(longer, true, back);
  EXPECT_FALSE(unpacker.unpack(second.bytes, false, back));
}

// By another program: a frame that ends, and one that wants more memory than there may be.
TEST(RunningZstd, OtherFramesAreRefused) {
  const Bytes from = noise(5000, 3);
  Bytes back(from.size());
  Bytes whole(ZSTD_compressBound(from.size()));
  whole.resize(ZSTD_compress(whole.data(), whole.size(), from.data(), from.size(), 1));
  EXPECT_FALSE(RunningUnpacker().unpack(whole, true, back));

  Bytes skipped = {0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4};
  skipped.insert(skipped.end(), whole.begin(), whole.end());
  EXPECT_FALSE(RunningUnpacker().unpack(skipped, true, back));

  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, kRunningWindowLog + 1);
  Bytes wide(from.size() + 100);
  ZSTD_inBuffer in{from.data(), from.size(), 0};
  ZSTD_outBuffer out{wide.data(), wide.size(), 0};
  EXPECT_EQ(ZSTD_compressStream2(context, &out, &in, ZSTD_e_flush), 0u);
  ZSTD_freeCCtx(context);
  wide.resize(out.pos);
  EXPECT_FALSE(RunningUnpacker().unpack(wide, true, back));
}

TEST(RunningZstd, IsAMethodOfPayloads) {
  const Batch batch = literal_batch(noise(kBatchRawBytesMax, 4));
  const Compression running{Compression::kRunningZstd, 7};
  RunningPacker packer;
  RunningUnpacker unpacker;
  for (int i = 0; i < 3; ++i) {
    const Bytes payload = pack(batch, running, &packer);
    EXPECT_FALSE(stands_alone(payload));
    EXPECT_LE(payload.size(), kBatchRawBytesMax + kPackedOverheadMax);
    EXPECT_FALSE(unpack(payload, kBatchRawBytesMax));
    EXPECT_EQ(unpack(payload, kBatchRawBytesMax, &unpacker), batch);
    // In between others stand alone.
    const Bytes alone = pack(batch, running);
    EXPECT_TRUE(stands_alone(alone));
    EXPECT_EQ(unpack(alone, kBatchRawBytesMax, &unpacker), batch);
  }
  const Bytes nothing = pack({}, running, &packer);
  EXPECT_TRUE(stands_alone(nothing));
  EXPECT_EQ(unpack(nothing, 0, &unpacker), Batch{});
  Bytes flag = pack(batch, running, &packer);
  flag[1] = 2;
  EXPECT_FALSE(unpack(flag, kBatchRawBytesMax, &unpacker));
}

TEST(RunningZstd, OnlySoManyStreamsOfASessionHaveOne) {
  const auto source = std::make_shared<SourceContent>(ContentKey{});
  const auto destination = std::make_shared<DestinationContent>(ContentKey{});
  for (const StreamKind kind : {StreamKind::kMemory, StreamKind::kDisk}) {
    for (unsigned i = 0; i < kRunningStreamsMax; ++i) {
      Encoder encoder(source, kind);
      EXPECT_EQ(encoder.running() != nullptr, i < kRunningStreamsMax / 2) << i;
      EXPECT_EQ(encoder.running(), encoder.running());
    }
  }
  const Batch batch = literal_batch(noise(5000, 5));
  for (unsigned i = 0; i <= kRunningStreamsMax; ++i) {
    RunningPacker packer;
    Decoder decoder(destination);
    for (int part = 0; part < 2; ++part) {
      const Bytes payload = pack(batch, {Compression::kRunningZstd, 3}, &packer);
      EXPECT_EQ(decoder.unpack(payload, 5000).has_value(), i < kRunningStreamsMax) << i;
    }
  }
  const auto plain =
      std::make_shared<SourceContent>(ContentKey{}, SourceLimits{.references = false});
  EXPECT_EQ(Encoder(plain, StreamKind::kMemory).running(), nullptr);
}

}  // namespace
}  // namespace drover::content
