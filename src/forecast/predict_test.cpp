// SPDX-License-Identifier: Apache-2.0
#include "forecast/predict.h"

#include <gtest/gtest.h>

#include "forecast/forecast_fixture.h"

namespace drover::forecast {
namespace {

double seconds(const StrategyForecast& made) {
  return std::chrono::duration<double>(made.likely).count();
}

StrategyForecast plain(const Scene& scene) { return predict(scene, usual(scene)); }

// What was measured on two cores (docs/benchmarks.md): the times are within the promised range.
TEST(Predict, MovesThatWereMeasuredAreWithinTheRange) {
  struct Row {
    const char* what;
    BytesPerSecond link;
    double took;
  };
  const Row rows[] = {{"1 Gbit/s", kGigabit, 6.7},
                      {"100 Mbit/s", kFastEthernet, 33},
                      {"no limit", {900'000'000}, 5}};
  for (const Row& row : rows) {
    Scene scene = gigabit_scene();
    scene.link = row.link;
    const StrategyForecast made = plain(scene);
    EXPECT_LE(seconds(made) * 0.6, row.took) << row.what << ": " << seconds(made);
    EXPECT_GE(seconds(made) * 1.4, row.took) << row.what << ": " << seconds(made);
  }
}

TEST(Predict, TheRangeIsAtMostFortyPercentToEitherSide) {
  Experience wild;
  wild.spread = 3;
  for (const bool executes : {true, false}) {
    Scene scene = gigabit_scene();
    scene.executes = executes;
    const StrategyForecast made = predict(scene, wild);
    EXPECT_GE(made.least, made.likely * 59 / 100);
    EXPECT_LE(made.most, made.likely * 141 / 100);
    EXPECT_LT(made.least, made.likely);
  }
}

// docs/forecast.md, "What is measured".
TEST(Predict, AGuestThatWasMeasuredMinutesAgoIsKnownLessWell) {
  Experience sure;
  sure.spread = 0.15;
  Scene scene = gigabit_scene();
  scene.dirty_rate = BytesPerSecond{60'000'000};
  const StrategyForecast now = predict(scene, sure);
  scene.dirty_age = std::chrono::minutes(3);
  const StrategyForecast later = predict(scene, sure);
  EXPECT_EQ(later.likely, now.likely);
  EXPECT_GT(later.most, now.most + std::chrono::milliseconds(100));
  EXPECT_LT(later.least, now.least - std::chrono::milliseconds(100));
  EXPECT_LE(later.most, later.likely * 141 / 100);
  scene.dirty_rate = BytesPerSecond{};
  const auto idle = predict(scene, sure).most;
  scene.dirty_age = {};
  EXPECT_EQ(predict(scene, sure).most, idle) << "twice nothing is nothing";
}

// Neither 0 nor anything else is taken for certain where nobody has measured.
TEST(Predict, OfAGuestThatNobodyMeasuredTheRangeIsWideAndNothingIsSure) {
  Experience sure;
  sure.spread = 0.15;
  Scene scene = gigabit_scene();
  scene.convergence = {ConvergencePolicy::kWait};
  scene.dirty_rate = BytesPerSecond{};
  const StrategyForecast idle = predict(scene, sure);
  scene.dirty_rate.reset();
  const StrategyForecast unknown = predict(scene, sure);
  EXPECT_GT(unknown.likely, idle.likely);
  EXPECT_NEAR(static_cast<double>(unknown.most.count()),
              static_cast<double>(unknown.likely.count()) * 1.4, 2);
  EXPECT_NEAR(static_cast<double>(unknown.least.count()),
              static_cast<double>(unknown.likely.count()) * 0.6, 2);
  EXPECT_EQ(idle.converges_percent, 99u);
  for (const BytesPerSecond link : {kGigabit, kFastEthernet}) {
    scene.link = link;
    EXPECT_GT(predict(scene, sure).converges_percent, 10u);
    EXPECT_LT(predict(scene, sure).converges_percent, 90u);
  }
  scene.convergence = {ConvergencePolicy::kPause, std::chrono::seconds(300)};
  EXPECT_LE(predict(scene, sure).converges_percent, 90u);
  scene.executes = false;  // then there is nothing to know
  EXPECT_LT(predict(scene, sure).most, predict(scene, sure).likely * 12 / 10);
  EXPECT_EQ(predict(scene, sure).converges_percent, 99u);
}

TEST(Predict, AGuestThatWasMeasuredLongAgoMayHaveBecomeAnother) {
  Scene scene = gigabit_scene();
  scene.link = kFastEthernet;
  scene.convergence = {ConvergencePolicy::kWait};
  Experience sure;
  sure.spread = 0.15;
  const auto chance = [&](std::uint64_t rate, std::chrono::milliseconds age) {
    scene.dirty_rate = BytesPerSecond{rate};
    scene.dirty_age = age;
    return predict(scene, sure).converges_percent;
  };
  const auto ago = std::chrono::hours(3);
  EXPECT_LT(chance(8'000'000, ago), chance(8'000'000, std::chrono::minutes(5)));
  EXPECT_GT(chance(60'000'000, ago), chance(60'000'000, {}));
}

TEST(Predict, AWayThatWasMeasuredSomeTimeAgoIsKnownLessWell) {
  Experience sure;
  sure.spread = 0.1;
  Scene scene = gigabit_scene();
  scene.link = kFastEthernet;
  const StrategyForecast now = predict(scene, sure);
  scene.link_age = std::chrono::hours(2);
  const StrategyForecast later = predict(scene, sure);
  EXPECT_EQ(later.likely, now.likely);
  EXPECT_GT(later.most, now.most + std::chrono::seconds(2));
  EXPECT_LT(later.least, now.least - std::chrono::seconds(2));
}

TEST(Predict, EachThingThatCostsMoreTakesLonger) {
  const double usual_time = seconds(plain(gigabit_scene()));
  const auto slower = [&](auto change) {
    Scene scene = gigabit_scene();
    change(scene);
    return seconds(plain(scene)) > usual_time + 0.1;
  };
  EXPECT_TRUE(slower([](Scene& scene) { scene.link = kFastEthernet; }));
  EXPECT_TRUE(slower([](Scene& scene) { scene.bandwidth = {20'000'000}; }));
  EXPECT_TRUE(slower([](Scene& scene) { scene.disks = gib(2); }));
  EXPECT_TRUE(slower([](Scene& scene) { scene.memory_used = gib(1); }));
  EXPECT_TRUE(slower([](Scene& scene) { scene.write = {50'000'000}; }));
  EXPECT_TRUE(slower([](Scene& scene) { scene.read = {50'000'000}; }));
  EXPECT_TRUE(slower([](Scene& scene) { scene.dirty_rate = BytesPerSecond{90'000'000}; }));
  EXPECT_TRUE(slower([](Scene& scene) { scene.verification = Verification::kReadBack; }));
}

TEST(Predict, WhatTheDestinationHoldsDoesNotTravel) {
  Scene scene = gigabit_scene();
  scene.link = kFastEthernet;
  const StrategyForecast first = plain(scene);
  scene.spared_disks = {600'000'000};
  scene.spared_memory = mib(400);
  const StrategyForecast back = plain(scene);
  EXPECT_LT(back.wire.bytes, first.wire.bytes / 4);
  EXPECT_LT(seconds(back), seconds(first) / 2);
}

TEST(Predict, NothingStandsStillThatDoesNotRun) {
  Scene scene = gigabit_scene();
  scene.executes = false;
  EXPECT_EQ(plain(scene).pause.count(), 0);
  scene.kind = MoveKind::kOffline;
  EXPECT_EQ(plain(scene).pause.count(), 0);
  scene.kind = MoveKind::kStorage;
  EXPECT_EQ(plain(scene).pause.count(), 0);
  EXPECT_EQ(plain(scene).wire.bytes, 0u);
}

TEST(Predict, MemoryThatIsKeptOfAVmThatIsOffIsCarriedToo) {
  Scene scene = gigabit_scene();
  scene.kind = MoveKind::kOffline;
  scene.executes = false;
  const StrategyForecast with = plain(scene);
  scene.memory = scene.memory_used = {};
  const StrategyForecast without = plain(scene);
  EXPECT_GT(with.wire.bytes, without.wire.bytes + mib(100).bytes);
  EXPECT_GT(seconds(with), seconds(without) + 1);
}

TEST(Predict, AGuestThatOutrunsTheLinkMayStandStillForAsLongAsItsPolicyAllows) {
  Scene scene = gigabit_scene();
  scene.disks = {};
  scene.memory = mib(128);
  scene.memory_used = mib(100);
  scene.link = kFastEthernet;
  scene.dirty_rate = BytesPerSecond{60'000'000};
  scene.convergence = {ConvergencePolicy::kPause, std::chrono::seconds(30)};
  const StrategyForecast pause = plain(scene);
  EXPECT_GT(pause.pause, std::chrono::seconds(1));
  EXPECT_LT(pause.pause, std::chrono::seconds(10));
  EXPECT_GE(pause.converges_percent, 80u);
  scene.convergence = {ConvergencePolicy::kWait};
  EXPECT_LE(plain(scene).converges_percent, 10u);
  scene.convergence = {ConvergencePolicy::kGiveUp, std::chrono::seconds(10)};
  EXPECT_LE(plain(scene).converges_percent, 10u);
  EXPECT_EQ(plain(scene).pause.count(), 0) << "it stays where it is";
}

TEST(Predict, AQuickMovePausesForAllOfTheMemory) {
  Scene scene = gigabit_scene();
  const auto live = plain(scene);
  scene.kind = MoveKind::kQuick;
  const auto quick = plain(scene);
  EXPECT_GT(quick.pause, live.pause * 5);
  EXPECT_EQ(quick.converges_percent, 100u);
  EXPECT_EQ(quick.strategy, "quick");
}

// What it takes beside the carrying is learnt, even if carrying takes long.
TEST(Predict, AQuickMovesPauseIsLearntFromThoseBefore) {
  Scene scene = gigabit_scene();
  scene.kind = MoveKind::kQuick;
  const StrategyForecast before = plain(scene);
  Took took;
  took.pause = before.pause + std::chrono::seconds(2);
  const std::vector<Move> moves(3, finished(scene, took));
  const Forecast made = make_forecast(scene, "host2", kVm, moves);
  EXPECT_GT(made.strategies.front().pause, before.pause + std::chrono::seconds(1));
  EXPECT_LT(made.strategies.front().pause, before.pause + std::chrono::seconds(3));
}

TEST(Predict, OnOneDeviceAStorageMoveReadsAndWritesWithTheSameHeads) {
  Scene scene = gigabit_scene();
  scene.kind = MoveKind::kStorage;
  scene.read = scene.write = {100'000'000};
  const double two = seconds(plain(scene));
  scene.one_device = true;
  EXPECT_NEAR(seconds(plain(scene)) - usual(scene).rest, 2 * (two - usual(scene).rest), 0.1);
}

// What was written to measure it went to its cache.
TEST(Predict, OneDeviceIsNotBelievedToBeAsFastAsItsCache) {
  Scene scene = gigabit_scene();
  scene.kind = MoveKind::kStorage;
  scene.disks = {1'200'000'000};
  scene.one_device = true;
  scene.read = {12'000'000'000};
  scene.write = {800'000'000};
  EXPECT_GE(seconds(plain(scene)), 3);
  scene.one_device = false;
  EXPECT_LT(seconds(plain(scene)), 2);
}

TEST(Predict, AForecastHasTheMovesOwnStrategyFirstAndTheOthersBesideIt) {
  const auto names = [](const Forecast& made) {
    std::vector<std::string> list;
    for (const auto& one : made.strategies) list.push_back(one.strategy);
    return list;
  };
  Scene scene = gigabit_scene();
  using List = std::vector<std::string>;
  EXPECT_EQ(names(make_forecast(scene, "host2", kVm, {})), (List{"compress", "direct", "quick"}));
  scene.compress = false;
  EXPECT_EQ(names(make_forecast(scene, "host2", kVm, {})), (List{"direct", "compress", "quick"}));
  scene.executes = false;
  EXPECT_EQ(names(make_forecast(scene, "host2", kVm, {})), (List{"direct", "compress"}));
  scene.kind = MoveKind::kStorage;
  EXPECT_EQ(names(make_forecast(scene, "host1", kVm, {})), (List{"storage"}));
}

// Absurd figures come from hosts and guests; a forecast of them is a number all the same.
TEST(Predict, AbsurdScenesGiveNumbers) {
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 60}) {
    for (const std::uint64_t rate : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 50}) {
      for (const MoveKind kind :
           {MoveKind::kLive, MoveKind::kQuick, MoveKind::kOffline, MoveKind::kStorage}) {
        Scene scene;
        scene.kind = kind;
        scene.executes = true;
        scene.memory = scene.memory_used = scene.disks = {size};
        scene.spared_disks = scene.spared_memory = {size};
        scene.dirty_rate = BytesPerSecond{rate};
        scene.link = scene.read = scene.write = {rate};
        const StrategyForecast made = plain(scene);
        EXPECT_GE(made.likely.count(), 0);
        EXPECT_LE(made.least, made.likely);
        EXPECT_LE(made.likely, made.most);
        EXPECT_GE(made.pause.count(), 0);
        EXPECT_LE(made.converges_percent, 100u);
      }
    }
  }
}

}  // namespace
}  // namespace drover::forecast
