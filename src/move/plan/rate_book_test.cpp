// SPDX-License-Identifier: Apache-2.0
#include "move/plan/rate_book.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace drover::move {
namespace {

using namespace std::chrono_literals;

TEST(RateBook, MeasuresOnceForAllWhoAskMeanwhileAndAfter) {
  RateBook book(60s, RateBook::Unknown::kKept);
  std::atomic<int> measured = 0;
  std::atomic<std::uint64_t> sum = 0;
  const auto ask = [&] {
    sum += book.get("vda",
                    [&] {
                      ++measured;
                      std::this_thread::sleep_for(20ms);
                      return BytesPerSecond{7};
                    })
               .value;
  };
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < 8; ++i) all.emplace_back(ask);
  }
  ask();
  EXPECT_EQ(measured, 1);
  EXPECT_EQ(sum, 9u * 7u);
}

TEST(RateBook, NobodyWaitsForOneThatHangs) {
  RateBook book(60s, RateBook::Unknown::kKept);
  std::atomic<bool> begun = false, hangs = true;
  std::jthread hanging([&] {
    (void)book.get("vda", [&] {
      begun = true;
      while (hangs) std::this_thread::sleep_for(5ms);
      return BytesPerSecond{7};
    });
  });
  while (!begun) std::this_thread::sleep_for(1ms);
  std::jthread end([&](std::stop_token stop) {  // of the test, should somebody wait
    for (int i = 0; i < 4000 && !stop.stop_requested(); ++i) std::this_thread::sleep_for(5ms);
    hangs = false;
  });
  EXPECT_EQ(book.get("vda", [] { return BytesPerSecond{1}; }).value, 0u);
  EXPECT_TRUE(hangs);
}

TEST(RateBook, WhatThrowsIsMeasuredAgain) {
  RateBook book(60s, RateBook::Unknown::kKept);
  EXPECT_THROW((void)book.get("vda", []() -> BytesPerSecond { throw 1; }), int);
  EXPECT_EQ(book.get("vda", [] { return BytesPerSecond{5}; }).value, 5u);
}

TEST(RateBook, ThingsOfOtherNamesDoNotWaitForEachOther) {
  RateBook book(60s, RateBook::Unknown::kKept);
  const BytesPerSecond inner{3};
  const auto outer = book.get(
      "vda", [&] { return BytesPerSecond{book.get("vdb", [&] { return inner; }).value + 1}; });
  EXPECT_EQ(outer.value, 4u);
}

TEST(RateBook, WhatIsOldIsMeasuredAnew) {
  RateBook book(0s, RateBook::Unknown::kKept);
  EXPECT_EQ(book.get("vda", [] { return BytesPerSecond{1}; }).value, 1u);
  std::this_thread::sleep_for(2ms);
  EXPECT_EQ(book.get("vda", [] { return BytesPerSecond{2}; }).value, 2u);
}

TEST(RateBook, WhatIsKnownIsToldWithItsAgeAndNotMeasured) {
  RateBook book(0s, RateBook::Unknown::kKept);
  EXPECT_FALSE(book.known("vda"));
  (void)book.get("vda", [] { return BytesPerSecond{7}; });
  std::this_thread::sleep_for(5ms);
  ASSERT_TRUE(book.known("vda"));
  EXPECT_EQ(book.known("vda")->rate.value, 7u);
  EXPECT_GE(book.known("vda")->age, 5ms);
  book.keep("vda", BytesPerSecond{9});
  book.keep("vda", BytesPerSecond{});
  EXPECT_EQ(book.known("vda")->rate.value, 9u);
  (void)book.get("vdb", [] { return BytesPerSecond{}; });
  EXPECT_FALSE(book.known("vdb"));
}

// Who is in a hurry takes the figure of before, not one that is yet to come.
TEST(RateBook, WhatIsKnownIsToldWhileItIsMeasuredAnew) {
  RateBook book(0s, RateBook::Unknown::kKept);
  book.keep("vda", BytesPerSecond{7});
  std::atomic<bool> begun = false, told = false;
  std::jthread again([&] {
    (void)book.get("vda", [&] {
      begun = true;
      for (int i = 0; i < 4000 && !told; ++i) std::this_thread::sleep_for(1ms);
      return BytesPerSecond{told ? 9u : 1u};
    });
  });
  while (!begun) std::this_thread::sleep_for(1ms);
  const auto known = book.known("vda");
  told = true;
  again.join();
  ASSERT_TRUE(known);
  EXPECT_EQ(known->rate.value, 7u);
  EXPECT_EQ(book.known("vda")->rate.value, 9u);
}

TEST(RateBook, WhatCouldNotBeMeasuredIsAskedAgainWhereThatCostsNothing) {
  for (const auto unknown : {RateBook::Unknown::kKept, RateBook::Unknown::kAskedAgain}) {
    RateBook book(60s, unknown);
    EXPECT_EQ(book.get("vda", [] { return BytesPerSecond{}; }).value, 0u);
    const auto again = book.get("vda", [] { return BytesPerSecond{5}; }).value;
    EXPECT_EQ(again, unknown == RateBook::Unknown::kKept ? 0u : 5u);
  }
}

}  // namespace
}  // namespace drover::move
