// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "mover/apply_rate.h"
#include "mover/break_clock.h"
#include "mover/limits.h"
#include "mover/names_wait.h"
#include "mover/writer_load.h"

namespace drover::mover {
namespace {

using namespace std::chrono_literals;
using Time = std::chrono::steady_clock::time_point;

const Time kStart = Time{} + 1h;

TEST(NamesWait, LastsWhileNamesComeFastAndOnlyOnce) {
  constexpr auto kLeast = static_cast<std::uint64_t>(kNamesMost);
  NamesWait wait;
  EXPECT_FALSE(wait.goes_on(kStart, 0, 0)) << "nothing is held there";
  wait.expect();
  EXPECT_TRUE(wait.goes_on(kStart, 0, 0));
  EXPECT_TRUE(wait.goes_on(kStart + kNamesInterval - 1ms, 0, 0)) << "the first may take a moment";
  EXPECT_TRUE(wait.goes_on(kStart + kNamesInterval, kLeast, 0));
  EXPECT_FALSE(wait.goes_on(kStart + 2 * kNamesInterval, 2 * kLeast - 1, 0)) << "slower";
  EXPECT_FALSE(wait.goes_on(kStart + 3 * kNamesInterval, 9 * kLeast, 0)) << "once";

  NamesWait ended;
  ended.expect();
  EXPECT_TRUE(ended.goes_on(kStart, 0, 0));
  ended.end();
  EXPECT_FALSE(ended.goes_on(kStart + 1ms, 5, 0));
  ended.expect();
  EXPECT_FALSE(ended.goes_on(kStart + 2ms, 5, 0));
}

// On a slow link names are worth waiting for that come slowly.
TEST(NamesWait, LastsWhileTheLinksWouldCarryLess) {
  NamesWait wait;
  wait.expect();
  constexpr double kCarried = 3'000;  // blocks a second: 100 Mbit/s
  EXPECT_TRUE(wait.goes_on(kStart, 0, kCarried));
  EXPECT_TRUE(wait.goes_on(kStart + kNamesInterval, 1'501, kCarried));
  EXPECT_FALSE(wait.goes_on(kStart + 2 * kNamesInterval, 3'000, kCarried));
}

TEST(NamesWait, IsBoundedHoweverFastTheyCome) {
  NamesWait wait;
  wait.expect();
  std::uint64_t named = 0;
  Time now = kStart;
  for (; now < kStart + kNamesPatience; now += 100ms) {
    EXPECT_TRUE(wait.goes_on(now, named, 1e9));
    named += static_cast<std::uint64_t>(kNamesMost);
  }
  EXPECT_FALSE(wait.goes_on(now, named, 0));
}

TEST(BreakClock, EachStateHasItsLimit) {
  BreakClock clock(10s, 2s, kStart);
  EXPECT_EQ(clock.give_up_at(), kStart + 10s) << "the first link must come in time";
  clock.link_up();
  EXPECT_FALSE(clock.give_up_at());
  clock.links_lost(kStart + 60s);
  clock.links_lost(kStart + 65s);
  EXPECT_EQ(clock.give_up_at(), kStart + 70s) << "from the last link's loss";
  clock.set_patience(30s);
  EXPECT_EQ(clock.give_up_at(), kStart + 90s);
  clock.standstill(kStart + 66s);
  EXPECT_EQ(clock.give_up_at(), kStart + 68s) << "from the standstill, if that came later";
  clock.set_pause_budget(5s);
  EXPECT_EQ(clock.give_up_at(), kStart + 71s);
  clock.finish_forwarded();
  EXPECT_FALSE(clock.give_up_at());
}

TEST(WriterLoad, IsSaturatedAfterASecondOfWorkOnly) {
  WriterLoad load;
  auto now = kStart;
  std::chrono::nanoseconds used = 7s;
  load.sample(now, used);
  EXPECT_FALSE(load.saturated(now)) << "nothing is known yet";
  load.sample(now += 900ms, used += 900ms);
  EXPECT_FALSE(load.saturated(now)) << "less than a span";
  load.sample(now += 100ms, used += 90ms);
  EXPECT_TRUE(load.saturated(now));
  load.sample(now += 1s, used += 800ms);
  EXPECT_FALSE(load.saturated(now)) << "it waits for something else";
  load.sample(now += 1s, used += 1s);
  EXPECT_TRUE(load.saturated(now));
  EXPECT_FALSE(load.saturated(now + 5s)) << "long ago";
}

// A receiver of `rate` bytes a second which always has something to apply.
void apply(ApplyRate& rate, double bytes_per_second, std::chrono::milliseconds span, Time& now) {
  for (auto done = 0ms; done < span; done += 5ms) {
    now += 5ms;
    rate.held_back();
    rate.acknowledged(static_cast<std::uint64_t>(bytes_per_second * 0.005), now);
  }
}

TEST(ApplyRate, BoundsWhatIsInFlightByWhatIsApplied) {
  ApplyRate rate(16 << 20);
  EXPECT_EQ(rate.limit_bytes(), 16u << 20) << "nothing known";
  Time now = kStart;
  apply(rate, 100e6, 1s, now);
  EXPECT_NEAR(static_cast<double>(rate.limit_bytes()), 100e6 * 0.05, 1e6);
  apply(rate, 1e6, 1s, now);
  EXPECT_EQ(rate.limit_bytes(), kWindowMin) << "never below";
  apply(rate, 1e9, 1s, now);
  EXPECT_EQ(rate.limit_bytes(), 16u << 20) << "never above";
}

TEST(ApplyRate, ALongRoadDoesNotShrinkTheWindowByItself) {
  ApplyRate rate(16 << 20);
  rate.round_trip(200ms);
  rate.round_trip(180ms);
  Time now = kStart;
  // 16 MiB each 180 ms is all that the window lets through: that is no slow receiver.
  apply(rate, (16 << 20) / 0.18, 1s, now);
  EXPECT_EQ(rate.limit_bytes(), 16u << 20);
}

TEST(ApplyRate, ASenderWithLittleToSayShowsNoRate) {
  ApplyRate rate(16 << 20);
  Time now = kStart;
  for (int i = 0; i < 100; ++i) rate.acknowledged(100, now += 20ms);
  EXPECT_EQ(rate.limit_bytes(), 16u << 20);
}

}  // namespace
}  // namespace drover::mover
