// SPDX-License-Identifier: Apache-2.0
#include "move/queue/move_queue.h"

#include <gtest/gtest.h>

namespace drover::move {
namespace {

using namespace std::chrono_literals;
using Time = QueuePacing::Time;

Waiting waiting(const char* id, int priority, int since) {
  Waiting made{id, "host2", {}};
  made.place.priority = priority;
  made.place.since = std::chrono::system_clock::time_point(std::chrono::seconds(since));
  return made;
}

TEST(MoveQueue, HighPriorityFirstThenWhoCameFirst) {
  std::vector<Waiting> moves{waiting("late", 0, 9), waiting("low", -5, 1), waiting("early", 0, 3),
                             waiting("high", 7, 8)};
  put_in_order(moves);
  std::vector<std::string> order;
  for (const Waiting& move : moves) order.push_back(move.id);
  EXPECT_EQ(order, (std::vector<std::string>{"high", "early", "late", "low"}));
}

TEST(MoveQueue, AMoveBeginsNowOrWithinAYear) {
  const std::chrono::system_clock::time_point now(1000h);
  MoveRequest request;
  EXPECT_TRUE(check_begin(request, now));
  for (const auto ahead : {-30s, 0s, 60s, 24h * 300 + 0s}) {
    request.begin_at = now + ahead;
    EXPECT_TRUE(check_begin(request, now)) << ahead.count();
  }
  for (const auto ahead : {-3600s, 24h * 400 + 0s}) {
    request.begin_at = now + ahead;
    EXPECT_EQ(check_begin(request, now).error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(QueuePacing, ARefusalIsFollowedByAnUnevenPause) {
  QueuePacing pacing;
  const Time now(100s);
  EXPECT_TRUE(pacing.may_ask("host2", now));
  pacing.refused("host2", now, 0);
  EXPECT_FALSE(pacing.may_ask("host2", now + 499ms));
  EXPECT_TRUE(pacing.may_ask("host2", now + 500ms));
  pacing.refused("host2", now, 2999);
  EXPECT_FALSE(pacing.may_ask("host2", now + 1498ms));
  EXPECT_TRUE(pacing.may_ask("host2", now + 1499ms));
  EXPECT_TRUE(pacing.may_ask("host3", now)) << "only that host";
  pacing.granted("host2");
  EXPECT_TRUE(pacing.may_ask("host2", now));
}

TEST(QueuePacing, AHostThatDoesNotAnswerIsLeftAloneForLonger) {
  QueuePacing pacing;
  pacing.failed("host2", Time(100s));
  EXPECT_FALSE(pacing.may_ask("host2", Time(109s)));
  EXPECT_TRUE(pacing.may_ask("host2", Time(110s)));
}

TEST(QueuePacing, AMoveThatWasPassedOftenHasTheHostKeptForIt) {
  QueuePacing pacing;
  for (unsigned i = 0; i + 1 < QueuePacing::kPassedMost; ++i) pacing.passed({"a", "b"});
  EXPECT_FALSE(pacing.is_kept_for("a"));
  pacing.passed({"a"});
  EXPECT_TRUE(pacing.is_kept_for("a"));
  EXPECT_FALSE(pacing.is_kept_for("b"));
  pacing.forget_others({waiting("b", 0, 0)});
  EXPECT_FALSE(pacing.is_kept_for("a"));
}

}  // namespace
}  // namespace drover::move
