// SPDX-License-Identifier: Apache-2.0
#include "forecast/memory_passes.h"

#include <gtest/gtest.h>

namespace drover::forecast {
namespace {

constexpr double kMiB = 1024.0 * 1024;

MemoryScene guest(double used, double dirty, double rate, Convergence convergence = {}) {
  return {used * kMiB, dirty * kMiB, 0, rate * kMiB, true, convergence};
}

TEST(MemoryPasses, AnIdleGuestIsCopiedOnce) {
  const MemoryCopy copy = copy_memory(guest(500, 0, 100));
  EXPECT_NEAR(copy.seconds, 5, 0.2);
  EXPECT_DOUBLE_EQ(copy.sent, 500 * kMiB);
  EXPECT_DOUBLE_EQ(copy.left, 0);
  EXPECT_GE(copy.converges, 0.95);
}

TEST(MemoryPasses, WhatIsChangedIsSentAgainUntilItFitsThePause) {
  const MemoryCopy copy = copy_memory(guest(500, 20, 100));
  EXPECT_GT(copy.sent, 550 * kMiB);
  EXPECT_LT(copy.sent, 640 * kMiB);
  EXPECT_GT(copy.seconds, 5.5);
  EXPECT_LT(copy.seconds, 6.8);
  EXPECT_LE(copy.left, 30 * kMiB);
  EXPECT_TRUE(copy.ends_by_itself);
}

TEST(MemoryPasses, APageThatIsChangedTwiceCountsOnce) {
  const MemoryScene scene = guest(100, 50, 10);
  EXPECT_NEAR(dirtied_in(scene, 1) / kMiB, 39.3, 0.5);
  EXPECT_LT(dirtied_in(scene, 1000), 100.1 * kMiB);
  EXPECT_EQ(dirtied_in(guest(0, 5, 1), 10), 0);
  EXPECT_EQ(dirtied_in(guest(5, 0, 1), 10), 0);
}

// 24 MiB, all changed several times while they cross the link: the guest of the bench `busy`.
TEST(MemoryPasses, PoliciesDecideAboutAGuestThatOutrunsTheLink) {
  struct Row {
    Convergence convergence;
    bool ends;
    double seconds_least, seconds_most, left_least, left_most;
  };
  using enum ConvergencePolicy;
  using std::chrono::seconds;
  const Row rows[] = {
      {{kPause, seconds(5)}, true, 6, 14, 18, 24.1},
      {{kPause, seconds(1)}, false, 60, 80, 5, 14},
      {{kGiveUp, seconds(10)}, true, 14, 20, 0, 0},
      {{kWait, seconds(0)}, false, 60, 80, 1, 5},
      {{kSlowGuest, seconds(0)}, true, 10, 60, 0.1, 5},
  };
  for (const Row& row : rows) {
    const MemoryCopy copy = copy_memory(guest(24, 64, 11, row.convergence));
    SCOPED_TRACE(convergence_text(row.convergence));
    EXPECT_EQ(copy.ends_by_itself, row.ends);
    EXPECT_GE(copy.seconds, row.seconds_least);
    EXPECT_LE(copy.seconds, row.seconds_most);
    EXPECT_GE(copy.left / kMiB, row.left_least);
    EXPECT_LE(copy.left / kMiB, row.left_most);
  }
}

TEST(MemoryPasses, TheChanceToConvergeFallsWithWhatTheGuestChanges) {
  double last = 1;
  for (const double dirty : {0.0, 20.0, 40.0, 60.0, 80.0, 120.0}) {
    const double now = copy_memory(guest(500, dirty, 100, {ConvergencePolicy::kWait})).converges;
    EXPECT_LE(now, last) << dirty;
    last = now;
  }
  EXPECT_GE(copy_memory(guest(500, 20, 100)).converges, 0.95);
}

// Measured: a guest that changed 16 MiB/s of 150 MB at random, over 8 MiB/s (docs/forecast.md).
TEST(MemoryPasses, OfPagesThatChangeAtRandomSomeAreSentAsTheyWere) {
  MemoryScene scene = guest(143, 15, 8);
  EXPECT_NEAR(unchanged_after(scene, 16, 1), 0.28, 0.05);
  EXPECT_NEAR(unchanged_after(scene, 3.9, 0.55), 0.2, 0.05);
  EXPECT_NEAR(unchanged_after(scene, 2.4, 0.27), 0.1, 0.03);
  EXPECT_NEAR(unchanged_after(scene, 1e-9, 1), 0.4, 0.01);
  EXPECT_NEAR(unchanged_after(scene, 1e9, 1), 0, 0.01) << "each has changed since";
  EXPECT_EQ(unchanged_after(scene, 2, 7), unchanged_after(scene, 2, 1));
  scene.set = 20 * kMiB;
  EXPECT_EQ(unchanged_after(scene, 2, 1), 0) << "it changes again and again";
  EXPECT_EQ(unchanged_after(guest(143, 0, 8), 2, 1), 0);
  EXPECT_EQ(unchanged_after(guest(0, 15, 8), 2, 1), 0);
}

TEST(MemoryPasses, WhatIsSentAgainUnchangedCostsLittle) {
  MemoryScene scene = guest(500, 60, 100);
  const MemoryCopy skipped = copy_memory(scene);
  scene.skips_unchanged = false;
  const MemoryCopy carried = copy_memory(scene);
  EXPECT_LT(skipped.seconds, carried.seconds - 1);
  EXPECT_GT(skipped.seconds, 5) << "the first pass takes as long";
  EXPECT_LT(skipped.sent, carried.sent);
  EXPECT_GT(skipped.converges, carried.converges);
}

// Twenty-four of five hundred: whatever a pass takes, it leaves those.
TEST(MemoryPasses, WhatIsChangedAgainAndAgainIsAllThatIsLeft) {
  MemoryScene scene = guest(500, 23, 12, {ConvergencePolicy::kPause, std::chrono::seconds(30)});
  const MemoryCopy all = copy_memory(scene);
  scene.set = 24 * kMiB;
  EXPECT_NEAR(dirtied_in(scene, 1) / kMiB, 23, 0.1);
  EXPECT_NEAR(dirtied_in(scene, 40) / kMiB, 24, 0.1);
  const MemoryCopy few = copy_memory(scene);
  EXPECT_NEAR(few.left / kMiB, 24, 1);
  EXPECT_LT(few.left, all.left / 4);
  EXPECT_LT(few.seconds, all.seconds / 1.5);
  scene.set = 10 * kMiB;  // less than what was seen changed
  EXPECT_LE(dirtied_in(scene, 100), 10 * kMiB);
}

// A burst that fits within the pause whole is no reason to wait for anything.
TEST(MemoryPasses, ASmallGuestFitsHoweverMuchItChanges) {
  const MemoryCopy copy = copy_memory(guest(4, 400, 100));
  EXPECT_LT(copy.seconds, 1);
  EXPECT_LE(copy.left, 4 * kMiB);
}

}  // namespace
}  // namespace drover::forecast
