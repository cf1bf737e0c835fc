// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "mover/incoming_half.h"
#include "mover/limits.h"
#include "mover/outgoing_half.h"

namespace drover::mover {
namespace {

using Taken = IncomingHalf::Taken;

Chunk chunk(std::size_t bytes, std::uint8_t fill = 1) {
  Chunk made{std::shared_ptr<std::uint8_t[]>(new std::uint8_t[bytes]), bytes};
  std::memset(made.bytes.get(), fill, bytes);
  return made;
}

Frame frame(std::uint64_t offset, std::size_t bytes, std::uint8_t fill = 1) {
  const auto length = static_cast<std::uint32_t>(bytes);
  return {{.type = FrameType::kData, .offset = offset, .length = length, .raw_length = length},
          chunk(bytes, fill)};
}

TEST(IncomingHalf, PutsFramesInOrderAndDropsDuplicates) {
  IncomingHalf in(1000);
  EXPECT_EQ(in.take(frame(10, 10, 2)), Taken::kNew);
  EXPECT_FALSE(in.has_next());
  EXPECT_EQ(in.buffered_bytes(), 10u);
  EXPECT_EQ(in.take(frame(10, 10, 2)), Taken::kDuplicate) << "waiting for the gap";
  EXPECT_EQ(in.take(frame(0, 10, 1)), Taken::kNew);
  EXPECT_EQ(in.take(frame(0, 10, 1)), Taken::kDuplicate) << "already in order";
  EXPECT_EQ(in.next()->payload.bytes[0], 1);
  EXPECT_EQ(in.next()->payload.bytes[0], 2);
  EXPECT_FALSE(in.next());
  in.applied(20);
  EXPECT_EQ(in.applied_offset(), 20u);
  EXPECT_EQ(in.buffered_bytes(), 0u);
}

TEST(IncomingHalf, RefusesOverlapsOverflowAndBytesAfterTheEnd) {
  IncomingHalf in(100);
  EXPECT_FALSE(in.take(frame(95, 10))) << "beyond the window";
  EXPECT_EQ(in.take(frame(20, 20)), Taken::kNew);
  EXPECT_FALSE(in.take(frame(30, 20))) << "overlaps one before";
  EXPECT_FALSE(in.take(frame(10, 15))) << "overlaps one after";
  EXPECT_FALSE(in.take(frame(20, 19))) << "other borders";
  EXPECT_FALSE(in.take_fin(39)) << "before the last byte";
  EXPECT_FALSE(in.take_fin(101)) << "beyond the window";
  EXPECT_EQ(in.take_fin(50), Taken::kNew);
  EXPECT_EQ(in.take_fin(50), Taken::kDuplicate);
  EXPECT_FALSE(in.take_fin(51));
  EXPECT_FALSE(in.take(frame(45, 10))) << "after the end";
  EXPECT_EQ(in.take(frame(0, 20)), Taken::kNew);
  EXPECT_FALSE(in.take(frame(35, 10))) << "a part is known";
  in.applied(40);
  EXPECT_FALSE(in.fin_reached());
  EXPECT_EQ(in.take(frame(40, 10)), Taken::kNew);
  in.applied(10);
  EXPECT_TRUE(in.fin_reached());
}

TEST(IncomingHalf, GapsAreBoundedInNumber) {
  IncomingHalf in(1 << 20);
  for (std::size_t i = 0; i < kGapFramesMax; ++i) {
    ASSERT_EQ(in.take(frame(2 * i + 1, 1)), Taken::kNew);
  }
  EXPECT_FALSE(in.take(frame(2 * kGapFramesMax + 1, 1)));
}

TEST(IncomingHalf, DiscardCountsEverythingAsApplied) {
  IncomingHalf in(100);
  ASSERT_TRUE(in.take(frame(0, 30)));
  const auto being_written = in.next();
  in.discard();
  in.applied(being_written->payload.size);
  EXPECT_EQ(in.applied_offset(), 30u);
  ASSERT_TRUE(in.take(frame(30, 60)));
  EXPECT_EQ(in.applied_offset(), 90u);
  EXPECT_FALSE(in.has_next());
  ASSERT_TRUE(in.take_fin(90));
  EXPECT_TRUE(in.fin_reached());
}

TEST(OutgoingHalf, KeepsFramesUntilTheyAreAcknowledged) {
  OutgoingHalf out;
  out.grant(1000);
  out.append(chunk(100));
  out.append(chunk(50));
  out.finish();
  EXPECT_EQ(out.waiting_bytes(), 150u);
  EXPECT_EQ(out.take_next(1)->header.offset, 0u);
  EXPECT_EQ(out.take_next(2)->header.offset, 100u);
  EXPECT_EQ(out.take_next(1)->header.type, FrameType::kFin);
  EXPECT_FALSE(out.take_next(1));
  EXPECT_EQ(out.unacknowledged_bytes(), 150u);

  out.link_lost(1);
  EXPECT_TRUE(out.has_next());
  EXPECT_EQ(out.take_next(2)->header.offset, 0u) << "the first lost one goes first";
  EXPECT_EQ(out.take_next(2)->header.type, FrameType::kFin);

  EXPECT_EQ(out.acknowledge(120, false, 1000), 120u);
  EXPECT_EQ(out.acknowledge(100, false, 1000), 0u) << "an older one, over a slower link";
  EXPECT_EQ(out.acknowledge(150, false, 1000), 30u);
  EXPECT_FALSE(out.done());
  ASSERT_TRUE(out.acknowledge(150, true, 1000));
  EXPECT_TRUE(out.done());
  EXPECT_TRUE(out.acknowledge(150, true, 1000)) << "said twice";
}

TEST(OutgoingHalf, RefusesAcknowledgementOfWhatWasNeverSent) {
  OutgoingHalf out;
  out.grant(1000);
  out.append(chunk(100));
  EXPECT_FALSE(out.acknowledge(1, false, 1000));
  ASSERT_TRUE(out.take_next(1));
  EXPECT_FALSE(out.acknowledge(101, false, 1000));
  EXPECT_FALSE(out.acknowledge(100, true, 1000)) << "no FIN yet";
  out.finish();
  EXPECT_FALSE(out.acknowledge(100, true, 1000)) << "FIN is not sent yet";
  ASSERT_TRUE(out.take_next(1));
  EXPECT_FALSE(out.acknowledge(50, true, 1000)) << "FIN before the end";
  EXPECT_TRUE(out.acknowledge(100, true, 1000));
}

TEST(OutgoingHalf, StaysWithinTheReceiversWindow) {
  OutgoingHalf out;
  EXPECT_EQ(out.credit(), 0u);
  out.grant(100);
  out.append(chunk(60));
  EXPECT_EQ(out.credit(), 40u);
  ASSERT_TRUE(out.take_next(1));
  ASSERT_TRUE(out.acknowledge(60, false, 100));
  EXPECT_EQ(out.credit(), 100u);
}

TEST(OutgoingHalf, AcknowledgedWhileItWaitsToBeSentAgain) {
  OutgoingHalf out;
  out.grant(1000);
  out.append(chunk(100));
  out.append(chunk(100));
  ASSERT_TRUE(out.take_next(1));
  out.link_lost(1);
  ASSERT_TRUE(out.acknowledge(100, false, 1000));
  EXPECT_EQ(out.waiting_bytes(), 100u);
  EXPECT_EQ(out.take_next(2)->header.offset, 100u);
  EXPECT_EQ(out.waiting_bytes(), 0u);
}

// Two halves with a network between them that loses links, repeats and reorders.
TEST(Halves, AnyOrderOfLossesDeliversEachByteOnce) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  OutgoingHalf out;
  IncomingHalf in(5000);
  out.grant(5000);
  std::vector<Frame> network;
  std::uint64_t written = 0;
  LinkSerial link = 1;
  std::uint64_t appended = 0;
  while (!out.done()) {
    switch (random() % 6) {
      case 0:
        if (appended < 100'000 && out.credit() >= 700 && out.frame_room()) {
          const std::size_t bytes = 1 + random() % 700;
          out.append(chunk(bytes, static_cast<std::uint8_t>(appended)));
          appended += bytes;
        } else if (appended >= 100'000) {
          out.finish();
        }
        break;
      case 1:
        if (auto frame = out.take_next(link)) network.push_back(std::move(*frame));
        break;
      case 2:  // a frame arrives, maybe not for the last time
        if (network.empty()) break;
        std::swap(network[random() % network.size()], network.back());
        if (network.back().header.type == FrameType::kFin) {
          ASSERT_TRUE(in.take_fin(network.back().header.offset));
        } else {
          ASSERT_TRUE(in.take(network.back()));
        }
        if (random() % 4 != 0) network.pop_back();
        break;
      case 3:
        if (auto bytes = in.next()) {
          in.applied(bytes->payload.size);
          written += bytes->payload.size;
        }
        break;
      case 4:
        if (in.fin_reached()) in.fin_applied();
        ASSERT_TRUE(out.acknowledge(in.applied_offset(), in.done(), in.window_bytes()));
        break;
      default:
        if (random() % 8 != 0) break;
        if (random() % 2 == 0) network.clear();
        out.link_lost(link++);
    }
  }
  EXPECT_EQ(written, appended);
}

}  // namespace
}  // namespace drover::mover
