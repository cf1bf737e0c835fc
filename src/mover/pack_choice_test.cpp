// SPDX-License-Identifier: Apache-2.0
#include "mover/pack_choice.h"

#include <random>

#include <gtest/gtest.h>

#include "mover/limits.h"
#include "mover/rate_limit.h"

namespace drover::mover {
namespace {

using namespace std::chrono_literals;

constexpr double kMega = 1e6;
// Guest memory on the machine of the benchmarks.
constexpr PackTrials kMemory{{{8000 * kMega, 1},
                              {430 * kMega, 0.52},
                              {175 * kMega, 0.36},
                              {170 * kMega, 0.34},
                              {110 * kMega, 0.31},
                              {50 * kMega, 0.28}}};

std::size_t way_on(double link, double processors, std::size_t now = kNoPacking) {
  return best_way(kMemory, {link, processors, 0}, now);
}

TEST(BestWay, SlowLinksAreWorthTheProcessor) {
  EXPECT_EQ(way_on(1 * kMega, 2), 5u);
  EXPECT_EQ(way_on(17 * kMega, 2), 4u);
  EXPECT_EQ(way_on(28 * kMega, 2), 3u);
  EXPECT_EQ(way_on(119 * kMega, 2), 2u);
}

TEST(BestWay, FastLinksAreNot) {
  EXPECT_EQ(way_on(1200 * kMega, 0.5), kNoPacking);
  EXPECT_EQ(way_on(400 * kMega, 1.5), 1u);
}

TEST(BestWay, WithoutSpareProcessorLessIsPacked) {
  EXPECT_EQ(way_on(119 * kMega, 1.0), 1u);
  EXPECT_EQ(way_on(119 * kMega, 0.2), kNoPacking);
}

// As measured at the beginning of a disk, when nothing was known of the processors.
TEST(BestWay, AStrongerWayIsForProcessorsOfWhichHalfWouldIdle) {
  const PackTrials dense{{{8000 * kMega, 1},
                          {3091 * kMega, 0.30},
                          {2705 * kMega, 0.24},
                          {2500 * kMega, 0.24},
                          {328 * kMega, 0.22},
                          {152 * kMega, 0.21}}};
  EXPECT_EQ(best_way(dense, {104 * kMega, 2, 0}, 2), 2u);
  EXPECT_EQ(best_way(dense, {12 * kMega, 2, 0}, 2), 5u) << "on a slow link they would";
}

// By a running frame one worker packs a stream, however many processors there are.
TEST(BestWay, ManyProcessorsPackAlone) {
  EXPECT_EQ(way_on(50 * kMega, 1), 2u);
  EXPECT_EQ(way_on(50 * kMega, 8), 2u);
  EXPECT_EQ(best_way(kMemory, {50 * kMega, 8, 0, 1.0}, 2), 3u) << "where it gets all of one";
}

TEST(BestWay, WhereTheEncoderIsTheSlowestNothingIsPacked) {
  EXPECT_EQ(best_way(kMemory, {1200 * kMega, 4, 0}, kNoPacking), 1u);
  EXPECT_EQ(best_way(kMemory, {1200 * kMega, 4, 600 * kMega}, 1), kNoPacking);
  EXPECT_EQ(best_way(kMemory, {119 * kMega, 2, 250 * kMega}, kNoPacking), 2u);
}

TEST(BestWay, ASlowLinkIsSparedWhereItCostsNoTime) {
  EXPECT_EQ(best_way(kMemory, {119 * kMega, 2, 100 * kMega}, kNoPacking), 2u);
  EXPECT_EQ(best_way(kMemory, {1200 * kMega, 4, 100 * kMega}, 2), kNoPacking);
}

TEST(BestWay, StaysWhereNothingIsClearlyBetterOrKnown) {
  for (std::size_t now = 0; now < kPackWays.size(); ++now) {
    EXPECT_EQ(way_on(0, 2, now), now) << "no link has shown its speed";
    const std::size_t settled = way_on(119 * kMega, 1.3, now);
    EXPECT_EQ(way_on(121 * kMega, 1.3, settled), settled);
  }
}

TEST(BestWay, BytesThatDoNotShrinkAreNotPacked) {
  PackTrials noise = kMemory;
  for (PackTrial& trial : noise) trial.ratio = 1.0;
  EXPECT_EQ(best_way(noise, {12 * kMega, 2}, 3), kNoPacking);
}

TEST(PackChoice, FollowsTheLinkThatItMeasures) {
  PackChoice choice(2);
  auto now = PackChoice::Clock::now();
  content::Batch text;
  for (int i = 0; i < 40'000; ++i) {
    const std::string word = std::to_string(i * 7919 % 1000) + " ";
    text.literals.insert(text.literals.end(), word.begin(), word.end());
  }
  choice.sent({.bytes = 2 << 20, .busy = 20s, .handing = 20s, .waited = 19s});
  choice.try_all(text, now += 1s);
  choice.sent({.bytes = 2 << 20, .busy = 20s, .handing = 20s, .waited = 19s});
  choice.try_all(text, now += 1s);
  EXPECT_GE(choice.way(), 2u) << "100 kB/s";
  for (int i = 0; i < 3; ++i) {
    choice.sent({.bytes = 100ull << 30, .busy = 1s});
    choice.try_all(text, now += 1s);
  }
  EXPECT_EQ(choice.way(), kNoPacking) << "100 GiB/s";
  choice.limit(100'000);
  choice.try_all(text, now += 1s);
  EXPECT_GE(choice.way(), 2u) << "limited to 100 kB/s";
}

TEST(PackChoice, ALinkThatIsNeverTheSlowestIsLeftAlone) {
  PackChoice choice(2);
  auto now = PackChoice::Clock::now();
  content::Batch text;
  text.literals.assign(100'000, 7);
  for (int i = 0; i < 5; ++i) {
    choice.sent({.bytes = 500 << 20, .busy = 1s, .handing = 1s, .waited = 300ms});
    choice.try_all(text, now += 1s);
    EXPECT_EQ(choice.way(), kNoPacking);
  }
  choice.sent({.bytes = 10 << 20, .busy = 1s, .handing = 1s, .waited = 900ms});
  choice.try_all(text, now += 1s);
  EXPECT_NE(choice.way(), kNoPacking);
}

TEST(PackChoice, ABurstSaysNothingOfASlowLink) {
  PackChoice choice(2);
  auto now = PackChoice::Clock::now();
  content::Batch text;
  text.literals.assign(100'000, 7);
  const auto carried = [&](std::uint64_t bytes, std::chrono::nanoseconds busy) {
    choice.sent({.bytes = bytes, .busy = busy, .handing = 100ms, .waited = 90ms});
    choice.try_all(text, now += 1s);
  };
  carried(110'000'000, 900ms);
  ASSERT_NE(choice.way(), kNoPacking);
  // A link that is idle for half of the time passes on at once what comes after that.
  for (int i = 0; i < 3; ++i) {
    carried(50'000'000, 1ms);
    EXPECT_NE(choice.way(), kNoPacking);
  }
}

TEST(PackChoice, AFewMessagesSayNothingOfALink) {
  PackChoice choice(2);
  content::Batch text;
  text.literals.assign(100'000, 7);
  // Their acknowledgements take longer than they themselves.
  choice.sent({.bytes = 2 << 20, .busy = 900ms, .handing = 10ms});
  choice.try_all(text, PackChoice::Clock::now() + 1s);
  EXPECT_EQ(choice.way(), kNoPacking);
}

// A disk of files that are packed already may begin with one.
TEST(PackChoice, OneBatchIsNotAll) {
  PackChoice choice(2, {}, 105'000'000);
  EXPECT_EQ(choice.way(), 2u) << "before the first trial";
  auto now = PackChoice::Clock::now();
  content::Batch noise;
  std::mt19937 random(7);
  for (int i = 0; i < 100'000; ++i) noise.literals.push_back(static_cast<std::uint8_t>(random()));
  ASSERT_TRUE(choice.trial_due(now));
  choice.try_all(noise, now);
  EXPECT_NE(choice.way(), kNoPacking);
  EXPECT_TRUE(choice.trial_due(now + kChoiceInterval / 5)) << "it has to be sure of it soon";
  for (int i = 0; i < 10; ++i) choice.try_all(noise, now += 1s);
  EXPECT_EQ(choice.way(), kNoPacking);
}

TEST(PackChoice, AWorkerThatIsSlowerThanItsTrialIsNotReliedOn) {
  PackChoice choice(2, {}, 12'000'000);
  auto now = PackChoice::Clock::now();
  content::Batch text;
  std::mt19937 random(7);
  for (int i = 0; i < 100'000; ++i) {
    text.literals.push_back(static_cast<std::uint8_t>('a' + random() % 16));
  }
  for (int i = 0; i < 5; ++i) choice.try_all(text, now += 1s);
  const std::size_t way = choice.way();
  EXPECT_TRUE(is_running(way));
  for (int i = 0; i < 20; ++i) {
    choice.ran(way, 10'000'000, 10s);
    choice.try_all(text, now += 1s);
  }
  EXPECT_LT(choice.way(), way) << "1 MB/s";
  for (int i = 0; i < 20; ++i) {
    choice.ran(way, 10'000'000, 10ms);
    choice.try_all(text, now += 1s);
  }
  EXPECT_EQ(choice.way(), way);
}

TEST(PackChoice, ABatchOfAlmostNothingIsNoTrial) {
  PackChoice choice(2, {}, 105'000'000);
  const auto now = PackChoice::Clock::now();
  ASSERT_TRUE(choice.trial_due(now));
  EXPECT_FALSE(choice.trial_due(now)) << "one at a time";
  content::Batch little;
  little.literals.assign(100, 7);
  choice.try_all(little, now);
  EXPECT_TRUE(choice.trial_due(now)) << "the next batch will do";
}

TEST(PackChoice, LinksAreFastOnceTheyHaveShownIt) {
  PackChoice choice(2);
  auto now = PackChoice::Clock::now();
  content::Batch text;
  text.literals.assign(100'000, 7);
  const auto carried = [&](std::uint64_t bytes, std::chrono::nanoseconds busy, double waited) {
    choice.sent({.bytes = bytes,
                 .busy = busy,
                 .handing = busy,
                 .waited = std::chrono::nanoseconds(
                     static_cast<std::int64_t>(static_cast<double>(busy.count()) * waited))});
    choice.try_all(text, now += 1s);
    return choice.links_are_fast();
  };
  EXPECT_FALSE(choice.links_are_fast());
  EXPECT_FALSE(carried(1 << 20, 1ms, 0));
  EXPECT_FALSE(carried(100'000'000, 20ms, 0)) << "a short burst into buffers shows nothing";
  EXPECT_TRUE(carried(300'000'000, 900ms, 0.1));
  EXPECT_TRUE(carried(100'000'000, 900ms, 0.1)) << "less was given to it";
  EXPECT_EQ(choice.way(), kNoPacking);
  EXPECT_FALSE(carried(300'000'000, 900ms, 0.9)) << "it is the slowest all the same";
  EXPECT_TRUE(carried(300'000'000, 900ms, 0.1));
  bool fast = true;
  for (int i = 0; i < 5; ++i) fast = carried(20'000'000, 900ms, 0.1);
  EXPECT_FALSE(fast) << "what was shown is forgotten";
  EXPECT_NE(choice.way(), kNoPacking);
}

TEST(PackChoice, WhatItIsToldOfLinksCountsUntilTheyShowIt) {
  content::Batch text;
  text.literals.assign(100'000, 7);
  auto now = PackChoice::Clock::now();

  PackChoice slow(2, {}, 12'000'000);
  slow.try_all(text, now += 1s);
  EXPECT_NE(slow.way(), kNoPacking) << "before a byte was sent";
  EXPECT_FALSE(slow.links_are_fast());

  PackChoice fast(2, {}, 900'000'000);
  EXPECT_TRUE(fast.links_are_fast()) << "from the beginning";
  fast.limit(10'000'000);
  EXPECT_FALSE(fast.links_are_fast()) << "no more may go over them";
  fast.limit(0);
  for (int i = 0; i < 10; ++i) {
    fast.sent({.bytes = 10 << 20, .busy = 1s, .handing = 1s, .waited = 100ms});
    fast.try_all(text, now += 1s);
  }
  EXPECT_FALSE(fast.links_are_fast()) << "they never carried that much";

  PackChoice refuted(2, {}, 900'000'000);
  refuted.sent({.bytes = 10 << 20, .busy = 1s, .handing = 1s, .waited = 900ms});
  refuted.try_all(text, PackChoice::Clock::now() + 1s);
  EXPECT_FALSE(refuted.links_are_fast()) << "they are what is waited for";
  EXPECT_NE(refuted.way(), kNoPacking);
}

content::Batch noise() {
  content::Batch batch;
  std::mt19937 random(1);
  for (int i = 0; i < 100'000; ++i) batch.literals.push_back(static_cast<std::uint8_t>(random()));
  return batch;
}

// Of a second in which the link had next to nothing to carry, one that is slow elsewhere.
TEST(PackChoice, AFewBytesThatWaitedSayNothingOfALink) {
  PackChoice choice(2, {}, 120'000'000);
  auto now = PackChoice::Clock::now();
  choice.sent({.bytes = 1'500'000, .busy = 36ms, .handing = 13ms, .waited = 8ms});
  choice.try_all(noise(), now += 1s);
  EXPECT_GT(choice.throughput(), 100e6);
  choice.sent({.bytes = 36'000'000, .busy = 900ms, .handing = 500ms, .waited = 400ms});
  choice.try_all(noise(), now += 1s);
  EXPECT_LT(choice.throughput(), 60e6) << "it is as slow as that";
}

TEST(PackChoice, ALinkThatWasMeasuredInABadMomentIsFoundOut) {
  PackChoice choice(2, {}, 100'000);
  auto now = PackChoice::Clock::now();
  choice.try_all(noise(), now += 1s);
  EXPECT_LT(choice.throughput(), 200e3);
  choice.sent({.bytes = 400 << 20, .busy = 900ms, .handing = 900ms, .waited = 100ms});
  choice.try_all(noise(), now += 1s);
  EXPECT_GT(choice.throughput(), 100e6);
}

TEST(PackChoice, TrialsAreRare) {
  PackChoice choice(1);
  const auto now = PackChoice::Clock::now();
  EXPECT_TRUE(choice.trial_due(now));
  EXPECT_FALSE(choice.trial_due(now + 100ms));
  EXPECT_TRUE(choice.trial_due(now + 2s));
  PackChoice fixed(1, 3);
  EXPECT_FALSE(fixed.trial_due(now + 5s));
  EXPECT_EQ(fixed.way(), 3u);
}

TEST(RateLimit, HoldsOverASecondAndForgetsIdleTime) {
  RateLimit limit;
  RateLimit::Time now{};
  EXPECT_FALSE(limit.wait_until(now)) << "none is set";
  limit.set(1'000'000, now);
  now += 10s;
  std::uint64_t sent = 0;
  const auto end = now + 1s;
  while (now < end) {
    if (const auto wait = limit.wait_until(now)) {
      EXPECT_GT(*wait, now);
      now = *wait;
      continue;
    }
    limit.charge(20'000, now);
    sent += 20'000;
  }
  EXPECT_NEAR(static_cast<double>(sent), 1e6, 0.1e6);
  limit.set(0, now);
  EXPECT_FALSE(limit.wait_until(now));
}

}  // namespace
}  // namespace drover::mover
