// SPDX-License-Identifier: Apache-2.0
#include "move/live/pass_book.h"

#include <gtest/gtest.h>

namespace drover::move {
namespace {

using namespace std::chrono_literals;

JobProgress pass(std::uint64_t number, std::uint64_t left_mib) {
  JobProgress job;
  job.active = job.copying_memory = true;
  job.memory_iteration = number;
  job.memory_left = mib(left_mib);
  job.dirty_pages_per_second = 256;
  return job;
}

WireCount gone(std::uint64_t mib_taken, std::uint64_t pages, std::uint64_t resent = 0,
               std::uint64_t unchanged = 0) {
  WireCount wire;
  wire.memory_taken = mib(mib_taken);
  wire.pages = pages;
  wire.resent_pages = resent;
  wire.unchanged_pages = unchanged;
  return wire;
}

TEST(PassBook, TellsWhatWentInEachPass) {
  const auto start = PassBook::Clock::now();
  PassBook book;
  book.take(JobProgress{}, gone(0, 0), start);  // disks
  book.take(pass(1, 100), gone(2, 500), start + 1s);
  EXPECT_FALSE(book.is_new(pass(1, 50)));
  book.take(pass(1, 50), gone(50, 12'000), start + 2s);
  EXPECT_TRUE(book.is_new(pass(2, 20)));
  book.take(pass(2, 20), gone(100, 25'000), start + 4s);
  book.end(gone(120, 30'000, 5'000, 3'500), start + 5s);
  book.end(gone(500, 90'000), start + 9s);
  book.take(pass(3, 1), gone(500, 90'000), start + 9s);

  ASSERT_EQ(book.passes().size(), 2u);
  const MemoryPass& first = book.passes()[0];
  EXPECT_EQ(first.number, 1u);
  EXPECT_EQ(first.sent, mib(100)) << "with what went before the first look";
  EXPECT_EQ(first.pages, 25'000u);
  EXPECT_EQ(first.duration, 3s);
  EXPECT_EQ(first.left, mib(100));
  EXPECT_EQ(first.dirtied.value, 256u * 4096);
  const MemoryPass& second = book.passes()[1];
  EXPECT_EQ(second.sent, mib(20));
  EXPECT_EQ(second.pages, 5'000u);
  EXPECT_EQ(second.resent_pages, 5'000u);
  EXPECT_EQ(second.unchanged_pages, 3'500u);
  EXPECT_EQ(second.duration, 1s);
}

TEST(PassBook, GoesOnWhereAnEarlierDroverdLeftIt) {
  MemoryPass known;
  known.number = 1;
  known.pages = 7;
  PassBook book({known});
  const auto start = PassBook::Clock::now();
  book.take(pass(1, 10), gone(100, 1'000), start);
  book.take(pass(1, 10), gone(110, 1'100), start + 1s);
  ASSERT_EQ(book.passes().size(), 2u);
  EXPECT_EQ(book.passes()[0].pages, 7u);
  EXPECT_EQ(book.passes()[1].pages, 100u) << "what went before was counted, or is not known";
}

TEST(PassBook, LosesNothingOfAGuestThatNeverConverges) {
  const auto start = PassBook::Clock::now();
  PassBook book;
  const std::uint64_t many = 10 * PassBook::kPassesMax;
  for (std::uint64_t i = 1; i <= many; ++i) {
    book.take(pass(i, 5), gone(i - 1, (i - 1) * 10), start + i * 1s);
  }
  book.end(gone(many, many * 10), start + (many + 1) * 1s);
  EXPECT_EQ(book.passes().size(), PassBook::kPassesMax);
  EXPECT_EQ(book.passes().front().number, 1u);
  EXPECT_EQ(book.passes().back().number, many);
  std::uint64_t pages = 0;
  auto time = 0ms;
  for (const MemoryPass& each : book.passes()) {
    pages += each.pages;
    time += each.duration;
  }
  EXPECT_EQ(pages, many * 10);
  EXPECT_EQ(time, many * 1s);
}

TEST(PassBook, ACountThatIsMissingIsNoHugeOne) {
  const auto start = PassBook::Clock::now();
  PassBook book;
  book.take(pass(1, 5), gone(10, 100), start);
  book.take(pass(2, 5), gone(10, 100), start + 1s);
  book.take(pass(2, 5), WireCount{}, start + 2s);
  EXPECT_EQ(book.passes().back().pages, 0u);
  EXPECT_EQ(book.passes().back().sent, ByteCount{});
}

}  // namespace
}  // namespace drover::move
