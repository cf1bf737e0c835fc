// SPDX-License-Identifier: Apache-2.0
#include "forecast/queue_times.h"

#include <gtest/gtest.h>

namespace drover::forecast {
namespace {

using namespace std::chrono_literals;
using Spans = std::vector<std::optional<Span>>;

TEST(QueueTimes, EachWaitsForThePlaceThatComesFreeFirst) {
  EXPECT_EQ(starts_in(Spans{10s, 4s}, Spans{3s, 5s, 1s}, 2), (Spans{4s, 7s, 10s}));
}

TEST(QueueTimes, WhereThereIsRoomNobodyWaits) {
  EXPECT_EQ(starts_in(Spans{10s}, Spans{3s, 5s}, 0), (Spans{0s, 0s}));
  EXPECT_EQ(starts_in(Spans{10s}, Spans{3s, 5s}, 3), (Spans{0s, 0s}));
  EXPECT_EQ(starts_in(Spans{}, Spans{}, 1), Spans{});
}

TEST(QueueTimes, ALengthThatNobodyKnowsIsTheMeanOfTheOthers) {
  EXPECT_EQ(starts_in(Spans{std::nullopt}, Spans{4s, 8s}, 1), (Spans{6s, 10s}));
  EXPECT_EQ(starts_in(Spans{std::nullopt}, Spans{std::nullopt}, 1), Spans{std::nullopt});
  EXPECT_EQ(starts_in(Spans{}, Spans{std::nullopt, std::nullopt}, 1), (Spans{0s, std::nullopt}));
}

TEST(QueueTimes, ALoweredLimitMakesRoomOnlyOnceEnoughHaveEnded) {
  EXPECT_EQ(starts_in(Spans{1s, 2s, 3s, 4s}, Spans{5s, 5s}, 2), (Spans{3s, 4s}));
}

}  // namespace
}  // namespace drover::forecast
