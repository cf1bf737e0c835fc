// SPDX-License-Identifier: Apache-2.0
#include "move/queue/slots.h"

#include <gtest/gtest.h>

namespace drover::move {
namespace {

using Way = Slots::Way;

TEST(Slots, ComingAndLeavingMovesCountTogether) {
  Slots slots;
  EXPECT_TRUE(slots.take(Way::kOut, "a", {2}));
  EXPECT_TRUE(slots.lease(Way::kIn, "b", {2}));
  EXPECT_FALSE(slots.take(Way::kOut, "c", {2}));
  EXPECT_TRUE(slots.take(Way::kOut, "a", {2})) << "it has one";
  EXPECT_EQ(slots.used(), 2u);
  slots.give_back(Way::kIn, "b");
  EXPECT_TRUE(slots.take(Way::kOut, "c", {2}));
}

TEST(Slots, MovesWithinTheHostAreCountedApart) {
  Slots slots;
  EXPECT_TRUE(slots.take(Way::kStorage, "a", {1}));
  EXPECT_FALSE(slots.take(Way::kStorage, "b", {1}));
  EXPECT_TRUE(slots.take(Way::kOut, "c", {1})) << "b waits for another kind of place";
  EXPECT_TRUE(slots.take(Way::kStorage, "a", {1}));
  EXPECT_EQ(slots.used(), 1u);
  EXPECT_EQ(slots.used(Way::kStorage), 1u);
  const HostSettings settings;
  EXPECT_EQ(full_text("host1", 2, settings, Way::kStorage),
            "host1 works on 2 storage moves; its storage-moves is 2.");
}

TEST(Slots, ALowerLimitEndsNothing) {
  Slots slots;
  for (const char* move : {"a", "b", "c"}) EXPECT_TRUE(slots.take(Way::kOut, move, {0}));
  EXPECT_EQ(slots.used(), 3u);
  EXPECT_FALSE(slots.take(Way::kOut, "d", {1}));
  slots.give_back(Way::kOut, "a");
  slots.give_back(Way::kOut, "b");
  EXPECT_FALSE(slots.take(Way::kOut, "d", {1})) << "c is still there";
  slots.give_back(Way::kOut, "c");
  EXPECT_TRUE(slots.take(Way::kOut, "d", {1}));
}

TEST(Slots, WhoWasRefusedFirstHasTheNextPlace) {
  Slots slots;
  EXPECT_TRUE(slots.take(Way::kOut, "a", {1}));
  EXPECT_FALSE(slots.lease(Way::kIn, "b", {1}));
  EXPECT_FALSE(slots.take(Way::kOut, "c", {1}));
  slots.give_back(Way::kOut, "a");
  EXPECT_FALSE(slots.take(Way::kOut, "c", {1})) << "b waits for longer";
  EXPECT_TRUE(slots.lease(Way::kIn, "b", {1}));
  slots.give_back(Way::kIn, "b");
  EXPECT_TRUE(slots.take(Way::kOut, "c", {1}));
}

TEST(Slots, WhoGivesItsTurnBackIsNotWaitedFor) {
  Slots slots;
  EXPECT_TRUE(slots.take(Way::kOut, "a", {1}));
  EXPECT_FALSE(slots.lease(Way::kIn, "b", {1}));
  slots.give_back(Way::kIn, "b");
  slots.give_back(Way::kOut, "a");
  EXPECT_TRUE(slots.take(Way::kOut, "c", {1}));
}

TEST(Slots, AMoveThatIsThereHasAPlaceWhateverTheLimit) {
  Slots slots;
  slots.keep(Way::kIn, "a");
  slots.keep(Way::kOut, "b");
  EXPECT_EQ(slots.used(), 2u);
  EXPECT_FALSE(slots.take(Way::kOut, "c", {2}));
}

TEST(MoveLimit, IsANumberUnlimitedOrAutoAndZeroNamesTheRightSetting) {
  EXPECT_EQ(parse_move_limit("live-moves", "3")->count, 3u);
  EXPECT_TRUE(parse_move_limit("live-moves", "unlimited")->unlimited());
  EXPECT_TRUE(parse_move_limit("live-moves", "auto")->automatic);
  EXPECT_FALSE(parse_move_limit("live-moves", "auto")->unlimited());
  EXPECT_NE(parse_move_limit("live-moves", "0").error().message.find("outgoing=off"),
            std::string::npos);
  for (const char* bad : {"", "-1", "1000000", "Auto", "2 ", "two", "99999999999999999999"})
    EXPECT_FALSE(parse_move_limit("live-moves", bad)) << bad;
}

TEST(Priority, HasBounds) {
  EXPECT_TRUE(check_priority(100));
  EXPECT_TRUE(check_priority(-100));
  EXPECT_FALSE(check_priority(101));
  EXPECT_FALSE(check_priority(-101));
}

}  // namespace
}  // namespace drover::move
