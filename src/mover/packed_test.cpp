// SPDX-License-Identifier: Apache-2.0
// PACKED and MISS in the halves of a stream (docs/mover_protocol.md, "Packed ranges").
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <random>

#include <gtest/gtest.h>

#include "mover/incoming_half.h"
#include "mover/outgoing_half.h"
#include "mover/pack_pool.h"

namespace drover::mover {
namespace {

using Taken = IncomingHalf::Taken;
const std::vector<std::uint8_t> kOps{7};  // some that may be missed

Chunk chunk(std::size_t bytes) { return chunk_of(std::vector<std::uint8_t>(bytes, 1)); }

Frame packed(std::uint64_t offset, std::uint32_t raw_length, std::uint8_t flags = 0) {
  return {{.type = FrameType::kPacked,
           .flags = flags,
           .offset = offset,
           .length = 3,
           .raw_length = raw_length},
          chunk(3)};
}

TEST(OutgoingHalf, KeepsTheOrderWhileARangeIsPacked) {
  OutgoingHalf out;
  out.grant(1000);
  EXPECT_EQ(out.append_unpacked(chunk(100), kOps), 0u);
  out.append(chunk(50));
  EXPECT_FALSE(out.has_next());
  EXPECT_FALSE(out.take_next(1));
  EXPECT_EQ(out.waiting_bytes(), 150u);
  out.packed(0, chunk(20));
  const auto frame = out.take_next(1);
  ASSERT_TRUE(frame);
  EXPECT_EQ(
      frame->header,
      (FrameHeader{.type = FrameType::kPacked, .offset = 0, .length = 20, .raw_length = 100}));
  EXPECT_EQ(frame->payload.size, 20u);
  EXPECT_EQ(out.take_next(1)->header.type, FrameType::kData);
  EXPECT_EQ(out.acknowledge(150, false, 1000), 150u);
}

TEST(OutgoingHalf, BytesThatDoNotShrinkGoOutAsTheyAre) {
  OutgoingHalf out;
  out.grant(1000);
  out.append_unpacked(chunk(100), {});
  out.packed(0, chunk(100));
  EXPECT_EQ(out.take_next(1)->header.type, FrameType::kData);
  out.append_unpacked(chunk(100), kOps);
  out.packed(100, chunk(130));
  EXPECT_EQ(out.take_next(1)->header.type, FrameType::kPacked) << "operations cannot";
}

// The other side must unpack it in its turn.
TEST(OutgoingHalf, APartOfARunningFrameGoesOutWhateverItsSize) {
  OutgoingHalf out;
  out.grant(1000);
  out.append_unpacked(chunk(100), {});
  std::vector<std::uint8_t> part(110);
  part[0] = content::Compression::kRunningZstd;
  out.packed(0, chunk_of(part));
  const auto frame = out.take_next(1);
  EXPECT_EQ(frame->header.type, FrameType::kPacked);
  EXPECT_EQ(frame->header.length, 110u);
}

TEST(PackPool, PartsOfARunningFrameAreMadeInTurn) {
  constexpr std::size_t kRunning = 3;
  constexpr std::size_t kRanges = 200;
  constexpr std::size_t kBytes = 20'000;
  ASSERT_TRUE(is_running(kRunning));
  PackChoice choice(4, kRunning);
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::pair<StreamId, std::uint64_t>, Chunk> payloads;
  PackPool pool(4, choice, [&](StreamId stream, std::uint64_t offset, Chunk payload) {
    const std::lock_guard lock(mutex);
    payloads[{stream, offset}] = std::move(payload);
    changed.notify_all();
  });
  std::mt19937 random(5);
  std::map<std::uint64_t, content::Batch> batches;
  for (std::uint64_t at = 0; at < kRanges; ++at) {
    std::vector<std::uint8_t> raw(1 + random() % kBytes);
    for (auto& byte : raw) byte = static_cast<std::uint8_t>(random() % 40);
    batches[at] = content::literal_batch(raw);
  }
  const auto first = std::make_shared<content::RunningPacker>();
  const auto second = std::make_shared<content::RunningPacker>();
  for (const auto& [at, batch] : batches) {
    pool.push({.stream = 2, .offset = at, .batch = batch, .mend_from = {}, .running = first});
    pool.push({.stream = 3, .offset = at, .batch = batch, .mend_from = {}, .running = second});
    pool.push({.stream = 4, .offset = at, .batch = batch, .mend_from = {}, .running = {}});
  }
  std::unique_lock lock(mutex);
  ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(60),
                               [&] { return payloads.size() == 3 * kRanges; }));
  for (const StreamId stream : {2u, 3u, 4u}) {
    content::RunningUnpacker unpacker;
    for (const auto& [at, batch] : batches) {
      const auto payload = payloads.at({stream, at}).view();
      EXPECT_EQ(content::stands_alone(payload), stream == 4);
      ASSERT_EQ(content::unpack(payload, kBytes, &unpacker), batch) << stream << ", " << at;
    }
  }
}

TEST(OutgoingHalf, MissIsAnsweredOnceAndWithTheSameBorders) {
  OutgoingHalf out;
  out.grant(1000);
  out.append_unpacked(chunk(100), kOps);
  out.packed(0, chunk(20));
  EXPECT_FALSE(out.miss(0, 100)) << "not sent yet";
  ASSERT_TRUE(out.take_next(1));
  EXPECT_FALSE(out.miss(0, 99));
  EXPECT_FALSE(out.miss(50, 100));
  const auto missed = out.miss(0, 100);
  ASSERT_TRUE(missed && *missed);
  EXPECT_EQ((*missed)->raw.size, 100u);
  EXPECT_EQ((*missed)->ops, kOps);
  const auto again = out.miss(0, 100);
  ASSERT_TRUE(again);
  EXPECT_FALSE(*again) << "said again: under way";
  EXPECT_FALSE(out.has_next());
  out.packed(0, chunk(120));
  const auto answer = out.take_next(2);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->header.flags, kPackedLiteral);
  EXPECT_EQ(answer->header.length, 120u);
  EXPECT_EQ(answer->header.raw_length, 100u);
  out.link_lost(1);
  EXPECT_FALSE(out.has_next()) << "the missed frame is not sent again";
  out.link_lost(2);
  EXPECT_EQ(out.take_next(3)->header.flags, kPackedLiteral);
  ASSERT_TRUE(out.acknowledge(100, false, 1000));
  const auto late = out.miss(0, 100);
  ASSERT_TRUE(late);
  EXPECT_FALSE(*late) << "acknowledged: an old one";
}

TEST(OutgoingHalf, MissOfWhatHasNoReferencesIsRefused) {
  OutgoingHalf out;
  out.grant(1000);
  out.append(chunk(100));
  out.append_unpacked(chunk(100), {});
  out.packed(100, chunk(5));
  ASSERT_TRUE(out.take_next(1) && out.take_next(1));
  EXPECT_FALSE(out.miss(0, 100));
  EXPECT_FALSE(out.miss(100, 100));
  EXPECT_FALSE(out.miss(200, 100));
}

TEST(OutgoingHalf, PackedAfterTheEndIsForgotten) {
  OutgoingHalf out;
  out.grant(1000);
  out.append_unpacked(chunk(100), kOps);
  out.give_up();
  out.packed(0, chunk(5));
  EXPECT_FALSE(out.has_next());
}

TEST(IncomingHalf, NothingPassesARangeThatIsMended) {
  IncomingHalf in(1000);
  ASSERT_TRUE(in.take(packed(0, 100)));
  ASSERT_TRUE(in.take(packed(100, 100)));
  const auto first = in.next();
  in.missed(first->header);
  EXPECT_FALSE(in.has_next());
  EXPECT_FALSE(in.next());
  EXPECT_EQ(in.take(packed(0, 100)), Taken::kDuplicate) << "the missed frame once more";
  EXPECT_FALSE(in.take(packed(0, 99, kPackedLiteral))) << "other borders";
  EXPECT_EQ(in.take(packed(0, 100, kPackedLiteral)), Taken::kNew);
  EXPECT_EQ(in.take(packed(0, 100, kPackedLiteral)), Taken::kDuplicate);
  EXPECT_EQ(in.buffered_bytes(), 200u);
  EXPECT_EQ(in.next()->header.flags, kPackedLiteral);
  EXPECT_FALSE(in.mending());
  in.applied(100);
  EXPECT_EQ(in.take(packed(0, 100, kPackedLiteral)), Taken::kDuplicate) << "late";
  EXPECT_EQ(in.next()->header.offset, 100u);
}

TEST(IncomingHalf, DiscardEndsMending) {
  IncomingHalf in(1000);
  ASSERT_TRUE(in.take(packed(0, 100)));
  in.missed(in.next()->header);
  in.discard();
  EXPECT_FALSE(in.mending());
  EXPECT_EQ(in.applied_offset(), 100u);
  EXPECT_EQ(in.take(packed(0, 100, kPackedLiteral)), Taken::kDuplicate);
}

// Two halves that lose links, repeat, reorder, and miss every third range.
TEST(Halves, MissesAndLossesInAnyOrderDeliverEachRangeOnce) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  OutgoingHalf out;
  IncomingHalf in(5000);
  out.grant(5000);
  std::vector<Frame> network;
  std::vector<std::uint64_t> to_pack;
  std::vector<FrameHeader> misses;
  std::uint64_t appended = 0;
  std::uint64_t applied = 0;
  LinkSerial link = 1;
  while (applied < 100'000) {
    switch (random() % 8) {
      case 0:
        if (appended >= 100'000 || out.credit() < 500) break;
        to_pack.push_back(out.append_unpacked(chunk(500), kOps));
        appended += 500;
        break;
      case 1:
        if (to_pack.empty()) break;
        std::swap(to_pack[random() % to_pack.size()], to_pack.back());
        out.packed(to_pack.back(), chunk(1 + random() % 600));
        to_pack.pop_back();
        break;
      case 2:
        if (auto frame = out.take_next(link)) network.push_back(std::move(*frame));
        break;
      case 3:
        if (network.empty()) break;
        std::swap(network[random() % network.size()], network.back());
        ASSERT_TRUE(in.take(network.back()));
        if (random() % 4 != 0) network.pop_back();
        break;
      case 4: {
        const auto next = in.next();
        if (!next) break;
        EXPECT_EQ(next->header.offset, applied);
        if (next->header.flags == 0 && next->header.offset % 1500 == 0) {
          in.missed(next->header);
          misses.push_back(next->header);
          break;
        }
        in.applied(500);
        applied += 500;
        break;
      }
      case 5: {
        if (misses.empty()) break;
        const auto missed = out.miss(misses.back().offset, misses.back().raw_length);
        ASSERT_TRUE(missed);
        if (*missed) to_pack.push_back(misses.back().offset);
        if (random() % 2 == 0) misses.pop_back();
        break;
      }
      case 6:
        ASSERT_TRUE(out.acknowledge(in.applied_offset(), in.done(), in.window_bytes()));
        break;
      default:
        if (random() % 8 != 0) break;
        if (random() % 2 == 0) network.clear();
        out.link_lost(link++);
        if (in.mending()) misses.push_back(*in.mending());
    }
  }
}

}  // namespace
}  // namespace drover::mover
