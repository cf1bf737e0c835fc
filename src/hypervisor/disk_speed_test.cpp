// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/disk_speed.h"

#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "base/unique_fd.h"

namespace drover {
namespace {

using namespace std::chrono_literals;

class DiskSpeed : public testing::Test {
 protected:
  // Beside the sources: a temporary folder may lie in memory, which O_DIRECT cannot read past.
  void SetUp() override {
    folder_ = std::filesystem::current_path() / ("disk-speed-" + random_name(8));
    std::filesystem::create_directory(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(folder_), {}));
  }
  std::filesystem::path folder_;
};

TEST_F(DiskSpeed, WritingLeavesNothing) {
  const UniqueFd folder(::open(folder_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const auto speed = writing_speed(folder.get(), 200ms);
  if (!speed) GTEST_SKIP() << speed.error().text();
  EXPECT_GT(speed->value, 0u);
  EXPECT_EQ(files(), 0u);
}

TEST_F(DiskSpeed, ItKeepsToItsTime) {
  const UniqueFd folder(::open(folder_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const auto begun = std::chrono::steady_clock::now();
  (void)writing_speed(folder.get(), 0ms);
  (void)reading_speed("/dev/zero", 10ms);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
}

TEST_F(DiskSpeed, WhatCannotBeWrittenToIsAnError) {
  EXPECT_FALSE(writing_speed(-1, 100ms));
  const UniqueFd folder(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  EXPECT_FALSE(writing_speed(folder.get(), 100ms));
}

TEST_F(DiskSpeed, AFileWithDataIsReadAndOthersAreNotGuessed) {
  const std::string full = folder_ / "full", empty = folder_ / "empty", hole = folder_ / "hole";
  std::ofstream(full) << std::string(20 * 1024 * 1024, 'x');
  std::ofstream(empty).close();
  std::ofstream(hole).close();
  std::filesystem::resize_file(hole, 64 * 1024 * 1024);
  const auto speed = reading_speed(full, 1s);
  ASSERT_TRUE(speed) << speed.error().text();
  for (const auto& path : {empty, hole}) {
    const auto none = reading_speed(path, 1s);
    ASSERT_TRUE(none) << none.error().text();
    EXPECT_EQ(none->value, 0u) << path;
  }
  EXPECT_FALSE(reading_speed(folder_ / "absent", 1s));
}

TEST_F(DiskSpeed, WhatTheCacheHoldsIsSeenAndWhatItDoesNot) {
  const std::string full = folder_ / "full";
  std::ofstream(full) << std::string(20 * 1024 * 1024, 'x');
  EXPECT_GT(cached_share(full), 0.9) << "it was just written";
  const UniqueFd file(::open(full.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::fdatasync(file.get()), 0);
  ASSERT_EQ(::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED), 0);
  EXPECT_LT(cached_share(full), 0.5);
  EXPECT_EQ(cached_share(folder_ / "none"), 0);
  EXPECT_EQ(cached_share(folder_), 0);
}

}  // namespace
}  // namespace drover
