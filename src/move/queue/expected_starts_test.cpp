// SPDX-License-Identifier: Apache-2.0
#include "move/queue/expected_starts.h"

#include <gtest/gtest.h>

namespace drover::move {
namespace {

using namespace std::chrono_literals;

const auto kNow = std::chrono::system_clock::time_point(1'800'000'000s);

Move waits(std::chrono::milliseconds takes, MoveKind kind = MoveKind::kLive) {
  Move move;
  move.plan.kind = kind;
  move.queue = QueuePlace{0, false, 0, "", kNow, {}, {}};
  if (takes > 0s) move.plan.forecast.emplace().strategies.emplace_back().likely = takes;
  return move;
}

Move runs(std::chrono::milliseconds takes, std::chrono::seconds since) {
  Move move = waits(takes);
  move.queue.reset();
  move.phases = {{Phase::kPlan, kNow - since, {}}};
  return move;
}

std::optional<std::chrono::seconds> starts_in(const Move& move) {
  if (!move.queue->expected_at) return std::nullopt;
  return std::chrono::duration_cast<std::chrono::seconds>(*move.queue->expected_at - kNow);
}

TEST(ExpectedStarts, FollowFromTheForecastsOfThoseBefore) {
  std::vector<Move> waiting{waits(100s), waits(20s), waits(5s)};
  expect_starts(waiting, {runs(60s, 20s), runs(300s, 0s)}, {}, {}, kNow);
  EXPECT_EQ(starts_in(waiting[0]), 40s);
  EXPECT_EQ(starts_in(waiting[1]), 140s);
  EXPECT_EQ(starts_in(waiting[2]), 160s);
}

TEST(ExpectedStarts, AMoveThatTakesLongerThanForecastEndsAnyMoment) {
  std::vector<Move> waiting{waits(10s)};
  HostSettings settings;
  settings.live_moves = {1, false};
  expect_starts(waiting, {runs(10s, 60s)}, {}, settings, kNow);
  EXPECT_EQ(starts_in(waiting[0]), 0s);
  Move copies = runs(10s, 60s);
  copies.progress.left_least = 20s;
  copies.progress.left_most = 40s;
  expect_starts(waiting, {copies}, {}, settings, kNow);
  EXPECT_EQ(starts_in(waiting[0]), 30s) << "what it says of itself is newer";
}

TEST(ExpectedStarts, GoByPastMovesWithoutAForecastAndElseSayNothing) {
  Move done = runs(0s, 100s);
  done.state = MoveState::kDone;
  done.report.emplace().duration = 30s;
  Move longer = done;
  longer.report->duration = 50s;
  Move slept = done;
  slept.report->duration = 8h;
  slept.plan.request.window = DailyWindow{2h, 4h};
  const TimesTaken taken = times_taken({done, longer, slept, runs(0s, 5s)});
  HostSettings settings;
  settings.live_moves = {1, false};
  std::vector<Move> waiting{waits(0s), waits(0s)};
  expect_starts(waiting, {runs(0s, 10s)}, taken, settings, kNow);
  EXPECT_EQ(starts_in(waiting[0]), 30s);
  EXPECT_EQ(starts_in(waiting[1]), 70s);
  waiting = {waits(0s)};
  expect_starts(waiting, {runs(0s, 10s)}, {}, settings, kNow);
  EXPECT_EQ(starts_in(waiting[0]), std::nullopt);
}

TEST(ExpectedStarts, KnowHoldsTimesAndKinds) {
  std::vector<Move> waiting{waits(10s), waits(10s), waits(10s, MoveKind::kStorage)};
  waiting[0].queue->held = true;
  waiting[1].plan.request.begin_at = kNow + 1h;
  expect_starts(waiting, {runs(60s, 0s), runs(60s, 0s)}, {}, {}, kNow);
  EXPECT_EQ(starts_in(waiting[0]), std::nullopt) << "it is held";
  EXPECT_EQ(starts_in(waiting[1]), 3600s);
  EXPECT_EQ(starts_in(waiting[2]), 0s) << "it has places of its own";
}

}  // namespace
}  // namespace drover::move
