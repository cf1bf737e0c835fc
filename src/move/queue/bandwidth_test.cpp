// SPDX-License-Identifier: Apache-2.0
#include "move/queue/bandwidth.h"

#include <gtest/gtest.h>

namespace drover::move {
namespace {

std::vector<std::uint64_t> shares(std::uint64_t total, const std::vector<std::uint64_t>& limits) {
  std::vector<BytesPerSecond> rates;
  for (const std::uint64_t limit : limits) rates.push_back({limit});
  std::vector<std::uint64_t> out;
  for (const BytesPerSecond share : fair_shares({total}, rates)) out.push_back(share.value);
  return out;
}

using Shares = std::vector<std::uint64_t>;

TEST(FairShares, EqualPartsAndWhatTheModestLeave) {
  EXPECT_EQ(shares(90, {0, 0, 0}), (Shares{30, 30, 30}));
  EXPECT_EQ(shares(90, {0, 10, 0}), (Shares{40, 10, 40}));
  EXPECT_EQ(shares(90, {80, 10, 70}), (Shares{40, 10, 40}));
  EXPECT_EQ(shares(90, {5, 10}), (Shares{5, 10}));
}

TEST(FairShares, WithoutATotalEachHasItsOwnLimit) {
  EXPECT_EQ(shares(0, {0, 10}), (Shares{0, 10}));
}

TEST(FairShares, NobodyIsLeftWithoutALimitBecauseNothingIsLeft) {
  EXPECT_EQ(shares(2, {0, 0, 0, 0}), (Shares{1, 1, 1, 1}));
}

TEST(Bandwidth, AMoveThatEndsLeavesItsPartToTheOthers) {
  Bandwidth bandwidth;
  const Bandwidth::Part first(bandwidth, {});
  {
    const Bandwidth::Part second(bandwidth, {});
    EXPECT_EQ(first.share({100}).value, 50u);
  }
  EXPECT_EQ(first.share({100}).value, 100u);
  EXPECT_EQ(first.share({0}).value, 0u);
}

}  // namespace
}  // namespace drover::move
