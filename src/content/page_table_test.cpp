// SPDX-License-Identifier: Apache-2.0
#include "content/page_table.h"

#include <random>

#include <gtest/gtest.h>

#include "base/big_endian.h"
#include "content/page_cache.h"
#include "content/page_ring.h"

namespace drover::content {
namespace {

// As good as a hash here: different for each content.
Name name_of(std::uint64_t content) {
  Name name;
  store_be<std::uint64_t>(name.data(), content * 0x9e3779b97f4a7c15 + 1);
  store_be<std::uint64_t>(name.data() + 8, content ^ 0x5555555555555555);
  return name;
}

TEST(PageTable, KnowsTheLastContentOfEachPage) {
  PageTable table(10, 1 << 20);
  EXPECT_FALSE(table.holds(3, name_of(1)));
  table.put(3, name_of(1));
  EXPECT_TRUE(table.holds(3, name_of(1)));
  EXPECT_FALSE(table.holds(4, name_of(1)));
  table.put(3, name_of(2));
  EXPECT_FALSE(table.holds(3, name_of(1)));
  table.forget(3);
  EXPECT_FALSE(table.holds(3, name_of(2)));
  EXPECT_FALSE(table.mark_sent(5));
  EXPECT_TRUE(table.mark_sent(5));
  EXPECT_FALSE(table.mark_sent(4));
}

TEST(PageTable, PagesThatShareAnEntryAreNeverTakenForEachOther) {
  PageTable table(1000, 300);
  const std::uint64_t apart = table.entries();
  ASSERT_LT(apart, 20u);
  table.put(7, name_of(1));
  for (std::uint64_t index = 7 + apart; index < 1000; index += apart) {
    EXPECT_FALSE(table.holds(index, name_of(1))) << index;
  }
  table.put(7 + apart, name_of(1));
  EXPECT_FALSE(table.holds(7, name_of(1)));
}

TEST(PageTable, TakesAnyLimit) {
  for (const std::size_t bytes : {0u, 1u, 16u, 1000u}) {
    PageTable table(1u << 20, bytes);
    EXPECT_GE(table.entries(), 1u);
    table.put((1u << 20) - 1, name_of(1));
    EXPECT_TRUE(table.holds((1u << 20) - 1, name_of(1)));
    table.mark_sent((1u << 20) - 1);
  }
}

// 256 GiB of guest and 64 MiB of table: 18 pages share an entry. The guest keeps dirtying (without
// changing) 2 GiB of hot pages spread over all its memory, and a little of everything else.
TEST(PageTable, AGuestOf256GiBKeepsItsHotPagesFound) {
  constexpr std::uint64_t kPages = std::uint64_t{256} << 18;
  PageTable table(kPages, 64u << 20);
  for (std::uint64_t page = 0; page < kPages; ++page) table.put(page, name_of(page));
  std::mt19937_64 random(5);
  constexpr std::uint64_t kHotRuns = 2048;  // of 256 pages: 2 GiB
  std::vector<std::uint64_t> runs;
  for (std::uint64_t i = 0; i < kHotRuns; ++i) runs.push_back(random() % (kPages / 256) * 256);
  std::sort(runs.begin(), runs.end());
  std::vector<double> found;
  for (int pass = 0; pass < 4; ++pass) {
    std::uint64_t hits = 0;
    for (const std::uint64_t run : runs) {
      for (std::uint64_t page = run; page < run + 256; ++page) {
        hits += table.holds(page, name_of(page)) ? 1 : 0;
        table.put(page, name_of(page));
      }
    }
    found.push_back(static_cast<double>(hits) / (kHotRuns * 256));
    for (int i = 0; i < 20000; ++i) {
      const std::uint64_t page = random() % kPages;
      table.put(page, name_of(page + pass));
    }
  }
  RecordProperty("first_resend_percent", static_cast<int>(found[0] * 100));
  RecordProperty("second_resend_percent", static_cast<int>(found[1] * 100));
  EXPECT_GT(found[0], 0.04) << "the share of the guest that the table reaches";
  EXPECT_GT(found[1], 0.75) << "hot pages come to stay";
  EXPECT_GT(found[3], 0.75);
}

TEST(PageRing, CountsAlongWithTheReceiversCache) {
  PageRing ring(50 * kBlockBytes);
  PageCache cache(50 * kBlockBytes);
  std::mt19937 random(3);
  std::uint64_t next = 1;
  std::size_t found = 0;
  for (int i = 0; i < 5000; ++i) {
    const std::uint64_t content = random() % 2 == 0 ? next++ : next - random() % 70;
    const std::uint64_t age = ring.find(name_of(content));
    if (age == 0) {
      ring.put(name_of(content));
      cache.put(std::vector<std::uint8_t>(kBlockBytes, static_cast<std::uint8_t>(content)));
      continue;
    }
    ++found;
    const std::uint8_t* page = cache.find(age);
    ASSERT_NE(page, nullptr);
    EXPECT_EQ(page[17], static_cast<std::uint8_t>(content));
  }
  EXPECT_GT(found, 1000u);
}

TEST(PageRing, WorksWithoutACache) {
  PageRing ring(0);
  ring.put(name_of(1));
  EXPECT_EQ(ring.find(name_of(1)), 0u);
  PageCache cache(100);
  cache.put(std::vector<std::uint8_t>(kBlockBytes));
  EXPECT_EQ(cache.find(1), nullptr);
}

}  // namespace
}  // namespace drover::content
