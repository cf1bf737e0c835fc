// SPDX-License-Identifier: Apache-2.0
#include "forecast/experience.h"

#include <gtest/gtest.h>

#include "forecast/forecast_fixture.h"

namespace drover::forecast {
namespace {

double seconds(std::chrono::milliseconds span) {
  return std::chrono::duration<double>(span).count();
}

TEST(Experience, WithoutMovesItIsWhatIsUsual) {
  const Experience none = learn(gigabit_scene(), "host2", kVm, {});
  EXPECT_EQ(none.moves, 0u);
  EXPECT_DOUBLE_EQ(none.rest, usual(gigabit_scene()).rest);
}

TEST(Experience, TheSameMoveAgainIsForecastAsItWent) {
  const Took slow_host{2, 9, 8, 3, std::chrono::milliseconds(400), {}};
  const std::vector<Move> before(4, finished(gigabit_scene(), slow_host));
  const Forecast made = make_forecast(gigabit_scene(), "host2", kVm, before);
  EXPECT_EQ(made.learnt_from, 4u);
  EXPECT_NEAR(seconds(made.strategies.front().likely), 22, 2);
  EXPECT_NEAR(seconds(made.strategies.front().pause), 0.4, 0.1);
}

TEST(Experience, WhatALargeMoveTookIsNotTheRestOfASmallOne) {
  const std::vector<Move> before(3, finished(gigabit_scene(), {0.3, 13, 10, 0.6, {}, {}}));
  Scene small = gigabit_scene();
  small.memory = small.memory_used = mib(64);
  small.disks = {40'000'000};
  const double likely =
      seconds(make_forecast(small, "host2", "other", before).strategies.front().likely);
  EXPECT_LT(likely, 6);
}

// Where nobody had measured the guest its passes tell; without them the move teaches no rest and no
// pause, for who knows what it was that took so long.
TEST(Experience, AGuestThatNobodyMeasuredIsNotLearntFromAsAnIdleOne) {
  Scene unknown = gigabit_scene();
  unknown.dirty_rate.reset();
  const Took busy{0.3, 4, 60, 0.6, std::chrono::milliseconds(900), {}};
  Move move = finished(unknown, busy);
  move.plan.request.measure = true;
  move.report->memory_sent = gib(6);
  EXPECT_FALSE(scene_of(move.plan, {}).dirty_rate);
  const Experience unseen = learn(gigabit_scene(), "host2", kVm, std::vector<Move>(3, move));
  EXPECT_EQ(unseen.moves, 3u);
  EXPECT_DOUBLE_EQ(unseen.rest, usual(unknown).rest);
  EXPECT_DOUBLE_EQ(unseen.pause, usual(unknown).pause);
  EXPECT_DOUBLE_EQ(unseen.spread, usual(unknown).spread);

  move.report->passes = {{1, {}, {}, mib(512), {}, 0, 0, 0},
                         {9, {}, {}, mib(90), {100'000'000}, 0, 0, 0}};
  const Experience shown = learn(gigabit_scene(), "host2", kVm, std::vector<Move>(3, move));
  move.plan.forecast->dirty_rate = BytesPerSecond{};
  const Experience idle = learn(gigabit_scene(), "host2", kVm, std::vector<Move>(3, move));
  EXPECT_LT(shown.rest, idle.rest - 5) << "it was the guest";
}

// Before the rate could be absent it was 0 in forecasts for which nothing was measured.
TEST(Experience, AnEarlierReleasesRateOfNothingIsNoRateUnlessItWasMeasured) {
  Scene idle = gigabit_scene();
  idle.dirty_rate = BytesPerSecond{};
  Move move = finished(idle, {});
  EXPECT_TRUE(scene_of(move.plan, {}).dirty_rate);
  move.plan.request.measure = false;
  EXPECT_FALSE(scene_of(move.plan, {}).dirty_rate);
}

// What held up a move over a way that nobody had measured is not known.
TEST(Experience, WhereTheWayIsKnownThoseOfWhichItWasNotCountOnlyIfThereAreNoOthers) {
  Scene unknown = gigabit_scene();
  unknown.link = {};
  std::vector<Move> before(3, finished(unknown, {0.3, 60, 50, 0.6, {}, {}}));
  EXPECT_EQ(learn(gigabit_scene(), "host2", kVm, before).moves, 3u);
  before.push_back(finished(gigabit_scene(), {0.3, 4, 3, 0.6, {}, {}}));
  EXPECT_EQ(learn(gigabit_scene(), "host2", kVm, before).moves, 1u);
  EXPECT_EQ(learn(unknown, "host2", kVm, before).moves, 4u);
}

// A link at a tenth of its speed shows how much travels, and nothing of how fast hosts are.
TEST(Experience, WhatTheLinkLimitedSaysNothingOfTheHosts) {
  Scene slow = gigabit_scene();
  slow.link = kFastEthernet;
  const std::vector<Move> before(3, finished(slow, {0.3, 30, 25, 0.6, {}, {620'000'000}}));
  const Experience learnt = learn(gigabit_scene(), "host2", kVm, before);
  EXPECT_GE(learnt.disk_rate, usual(gigabit_scene()).disk_rate);
  const double likely =
      seconds(make_forecast(gigabit_scene(), "host2", kVm, before).strategies.front().likely);
  EXPECT_LT(likely, 20);
}

// Likewise a setting of the host, of which the move's request says nothing.
TEST(Experience, WhatASettingLimitedSaysNothingOfTheHosts) {
  Scene limited = gigabit_scene();
  limited.bandwidth = kFastEthernet;
  std::vector<Move> before(3, finished(limited, {0.3, 30, 25, 0.6, {}, {620'000'000}}));
  for (Move& move : before) move.plan.request.bandwidth = {};
  const Experience learnt = learn(gigabit_scene(), "host2", kVm, before);
  EXPECT_GE(learnt.disk_rate, usual(gigabit_scene()).disk_rate);
  EXPECT_GE(learnt.memory_rate, usual(gigabit_scene()).memory_rate);
  for (Move& move : before) move.plan.forecast->bandwidth = {};  // of an earlier release
  EXPECT_EQ(bandwidth_of(before.front().plan).value, 0u);
}

// A disk that was busy for a moment is measured slow; that moves were fast says more.
TEST(Experience, WhatMovesHaveShownOfDisksGoesBeforeAMeasurement) {
  const std::vector<Move> before(3, finished(gigabit_scene(), {0.3, 4, 3, 0.6, {}, {}}));
  Scene busy = gigabit_scene();
  busy.write = {2'000'000};
  EXPECT_GT(seconds(make_forecast(busy, "host2", kVm, {}).strategies.front().likely), 100);
  EXPECT_LT(seconds(make_forecast(busy, "host2", kVm, before).strategies.front().likely), 12);
}

TEST(Experience, OnlyMovesOfItsKindPairAndStrategyCount) {
  struct Row {
    const char* what;
    void (*change)(Move&);
  };
  const Row rows[] = {
      {"another destination", [](Move& move) { move.destination = "host3"; }},
      {"another kind", [](Move& move) { move.plan.kind = MoveKind::kQuick; }},
      {"failed", [](Move& move) { move.state = MoveState::kFailed; }},
      {"rehearsed", [](Move& move) { move.state = MoveState::kRehearsed; }},
      {"under way", [](Move& move) { move.ended_at.reset(); }},
      {"without a forecast", [](Move& move) { move.plan.forecast.reset(); }},
      {"without a report", [](Move& move) { move.report.reset(); }},
      {"waited for its window", [](Move& move) { move.plan.request.window.emplace(); }},
      {"another strategy",
       [](Move& move) { move.plan.forecast->strategies.front().strategy = "direct"; }},
      {"no strategy", [](Move& move) { move.plan.forecast->strategies.clear(); }},
      {"no phases", [](Move& move) { move.phases.clear(); }}};
  for (const Row& row : rows) {
    Move move = finished(gigabit_scene(), {});
    row.change(move);
    const std::vector<Move> before(3, move);
    EXPECT_EQ(learn(gigabit_scene(), "host2", kVm, before).moves, 0u) << row.what;
  }
}

TEST(Experience, MovesOfTheSameVmAreBelievedBeforeOthers) {
  std::vector<Move> before(5, finished(gigabit_scene(), {1, 20, 20, 1, {}, {}}, "other"));
  for (int i = 0; i < 3; ++i) before.push_back(finished(gigabit_scene(), {0.3, 4, 3, 0.6, {}, {}}));
  EXPECT_EQ(learn(gigabit_scene(), "host2", kVm, before).moves, 3u);
  EXPECT_EQ(learn(gigabit_scene(), "host2", "third", before).moves, 8u);
}

TEST(Experience, HowMuchMemoryAGuestUsesIsLearntFromAnyStrategy) {
  Move move = finished(gigabit_scene(), {});
  MemoryPass first;
  first.number = 1;
  first.sent = {move.plan.forecast->memory.bytes / 4};
  move.report->passes = {first};
  move.plan.forecast->strategies.front().strategy = "direct";
  const Experience learnt = learn(gigabit_scene(), "host2", kVm, std::vector<Move>{move});
  EXPECT_EQ(learnt.moves, 0u);
  EXPECT_DOUBLE_EQ(learnt.used_factor, 0.25);
}

// What a guest's content packs to shows on any link that leaves the mover time for it.
TEST(Experience, AGuestsOwnContentGoesBeforeOthers) {
  Scene slow = gigabit_scene();
  slow.link = kFastEthernet;
  Took others, own;
  others.wire = {900'000'000};
  own.wire = {300'000'000};
  std::vector<Move> before(5, finished(slow, others, "other"));
  EXPECT_GT(learn(slow, "host2", kVm, before).packs, 1.4);
  before.push_back(finished(gigabit_scene(), own));
  EXPECT_LT(learn(slow, "host2", kVm, before).packs, 0.7);
  EXPECT_GT(learn(slow, "host2", "third", before).packs, 1.4);
}

TEST(Experience, AMoveThatPackedNothingSaysNothingOfTheContent) {
  Scene fast = gigabit_scene();
  fast.link = {900'000'000};
  Took took;
  took.wire = fast.disks + fast.memory_used;
  const std::vector<Move> before(3, finished(fast, took));
  EXPECT_DOUBLE_EQ(learn(gigabit_scene(), "host2", kVm, before).packs, 1);
  EXPECT_DOUBLE_EQ(wire_share(900e6, 0.5), 1) << "nor does the content say anything of that";
}

// Pauses of 60 to 300 ms come of the same guest by turns.
TEST(Experience, PausesThatScatterAroundWhatIsUsualConfirmIt) {
  const auto pause_after = [](std::initializer_list<int> pauses, const std::string& vm) {
    std::vector<Move> before;
    for (const int pause : pauses) {
      Took took;
      took.pause = std::chrono::milliseconds(pause);
      before.push_back(finished(gigabit_scene(), took));
    }
    return learn(gigabit_scene(), "host2", vm, before).pause;
  };
  const double usually = usual(gigabit_scene()).pause;
  EXPECT_DOUBLE_EQ(pause_after({60, 110, 250, 300}, kVm), usually);
  EXPECT_DOUBLE_EQ(pause_after({900, 900}, kVm), usually) << "two are not believed";
  EXPECT_NEAR(pause_after({380, 420, 500, 60}, kVm), 0.4, 0.03) << "one odd one is nothing";
  EXPECT_DOUBLE_EQ(pause_after({380, 420, 500}, "another guest"), usually);
}

TEST(Experience, TheNewestCountAndAnAbsurdOneDoesNot) {
  std::vector<Move> before(8, finished(gigabit_scene(), {0.3, 4, 3, 0.6, {}, {}}));
  before.push_back(finished(gigabit_scene(), {500, 500, 500, 500, {}, {}}));
  EXPECT_EQ(learn(gigabit_scene(), "host2", kVm, before).moves, 8u);
  before[3] = before.back();
  EXPECT_LT(seconds(make_forecast(gigabit_scene(), "host2", kVm, before).strategies.front().likely),
            12);
}

TEST(Experience, TheQueueAndThePlanAreNoPartOfTheWork) {
  const Move move = finished(gigabit_scene(), {});
  ASSERT_TRUE(time_worked(move));
  EXPECT_NEAR(seconds(*time_worked(move)), 7.9, 0.01);
  EXPECT_FALSE(time_worked(Move{}));
}

// Clocks that were set back between two phases give times below nothing.
TEST(Experience, TimesThatRunBackwardsDoNoHarm) {
  Move move = finished(gigabit_scene(), {});
  move.phases.back().ended_at = move.phases.front().started_at - std::chrono::hours(1);
  move.ended_at = move.phases.back().ended_at;
  move.report->passes = {{1, {}, {}, gib(900), {}, 0, 0, 0}};
  const std::vector<Move> before(3, move);
  const Forecast made = make_forecast(gigabit_scene(), "host2", kVm, before);
  EXPECT_GT(made.strategies.front().likely.count(), 0);
  EXPECT_LT(seconds(made.strategies.front().likely), 60);
}

}  // namespace
}  // namespace drover::forecast
