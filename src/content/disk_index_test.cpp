// SPDX-License-Identifier: Apache-2.0
#include "content/disk_index.h"

#include <map>
#include <random>

#include <gtest/gtest.h>

#include "base/big_endian.h"

namespace drover::content {
namespace {

Name name_of(std::uint64_t content) {
  std::mt19937_64 random(content);
  Name name;
  store_be<std::uint64_t>(name.data(), random());
  store_be<std::uint64_t>(name.data() + 8, random());
  return name;
}

TEST(DiskIndex, FindsWhatWasPutUntilItIsForgotten) {
  DiskIndex index(1 << 16);
  index.put({1, 100}, name_of(1));
  index.put({63, DiskIndex::kBlockMax}, name_of(2));
  index.put({0, DiskIndex::kBlockMax + 1}, name_of(3));
  EXPECT_EQ(index.find(name_of(1)), (DiskBlock{1, 100}));
  EXPECT_EQ(index.find(name_of(2)), (DiskBlock{63, DiskIndex::kBlockMax}));
  EXPECT_FALSE(index.find(name_of(3))) << "too far on the disk";
  index.forget({2, 100});
  EXPECT_TRUE(index.find(name_of(1)));
  index.forget({1, 100});
  EXPECT_FALSE(index.find(name_of(1)));
  index.put({1, 100}, name_of(1));
  index.put({1, 100}, name_of(4));
  EXPECT_FALSE(index.find(name_of(1))) << "replaced";
  index.forget_range(1, 0, DiskIndex::kBlockMax);
  EXPECT_FALSE(index.find(name_of(4)));
  EXPECT_TRUE(index.find(name_of(2))) << "another disk";
}

// Whatever fits, an entry never tells of a block whose content was replaced.
TEST(DiskIndex, ForgetsButNeverLies) {
  for (const std::size_t bytes : {0u, 200u, 5000u, 1u << 20}) {
    DiskIndex index(bytes);
    std::map<std::pair<std::uint8_t, std::uint64_t>, std::uint64_t> holds;
    std::mt19937 random(4);
    for (int i = 0; i < 20000; ++i) {
      const auto disk = static_cast<std::uint8_t>(random() % 3);
      const std::uint64_t block = random() % 2000;
      const std::uint64_t content = random() % 3000 + 1;
      if (random() % 4 == 0) {
        const std::uint64_t end = block + random() % 50;
        index.forget_range(disk, block, end);
        for (std::uint64_t at = block; at < end; ++at) holds.erase({disk, at});
      } else {
        index.put({disk, block}, name_of(content));
        holds[{disk, block}] = content;
      }
      const std::uint64_t asked = random() % 3000 + 1;
      if (const auto found = index.find(name_of(asked))) {
        const auto known = holds.find({found->disk, found->block});
        ASSERT_TRUE(known != holds.end() && known->second == asked);
      }
    }
  }
}

// A name of its own for each block.
Name name_at(std::uint64_t disk, std::uint64_t block) {
  const std::uint64_t number = disk << 40 | block;
  Name name{};
  store_be<std::uint64_t>(name.data(), number * 0x9e3779b97f4a7c15);
  store_be<std::uint64_t>(name.data() + 8, number * 0xd6e8feb86659fd93);
  return name;
}

// A disk, the files that are held of it and of the guest's memory, and some of a group: each begins
// at block 0.
TEST(DiskIndex, FilesDoNotDisplaceEachOtherWhileThereIsRoom) {
  DiskIndex index(32u << 20);
  constexpr std::uint8_t kFiles[] = {0, 1, 64, 65, 66, 96, 97};
  constexpr std::uint64_t kBlocks = std::uint64_t{1} << 17;  // 512 MiB
  for (const std::uint8_t file : kFiles) {
    for (std::uint64_t block = 0; block < kBlocks; ++block)
      index.put({file, block}, name_at(file, block));
  }
  for (const std::uint8_t file : kFiles) {
    std::uint64_t found = 0;
    for (std::uint64_t block = 0; block < kBlocks; ++block)
      found += index.find(name_at(file, block)) == DiskBlock{file, block} ? 1 : 0;
    EXPECT_GT(found, kBlocks * 98 / 100) << "of file " << int{file};
  }
}

// 24 GiB of disk content through an index for 10 GiB.
TEST(DiskIndex, KeepsTheNewestOfADiskFarLargerThanItself) {
  DiskIndex index(32u << 20);
  constexpr std::uint64_t kBlocks = std::uint64_t{24} << 18;
  for (std::uint64_t block = 0; block < kBlocks; ++block) index.put({0, block}, name_at(0, block));
  std::uint64_t found = 0;
  constexpr std::uint64_t kNewest = std::uint64_t{4} << 18;  // 4 GiB
  for (std::uint64_t block = kBlocks - kNewest; block < kBlocks; ++block)
    found += index.find(name_at(0, block)) == DiskBlock{0, block} ? 1 : 0;
  RecordProperty("newest_found_percent", static_cast<int>(100 * found / kNewest));
  EXPECT_GT(found, kNewest * 8 / 10);
}

}  // namespace
}  // namespace drover::content
