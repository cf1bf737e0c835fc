// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/served_image.h"

#include <algorithm>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/deadline.h"

namespace drover {
namespace {

namespace fs = std::filesystem;

class ServedImageTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "drover-served-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(root_); }
  // 8 MiB with 64 KiB of data at 1 MiB and at 3 MiB, the second written as zeros.
  std::string image(const std::string& format) {
    const std::string path = (root_ / ("disk." + format)).string();
    EXPECT_TRUE(run_program({.arguments = {"qemu-img", "create", "-q", "-f", format, path, "8M"}}));
    EXPECT_TRUE(run_program({.arguments = {"qemu-io", "-f", format, "-c", "write -P 7 1M 64k", "-c",
                                           "write -z 3M 64k", path}}));
    return path;
  }
  bool wait_for_socket(ServedImage& served) {
    const Deadline limit = Deadline::after(std::chrono::seconds(20));
    while (!fs::exists(served.socket()) && !served.ended() && !limit.expired())
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return fs::exists(served.socket());
  }

  fs::path root_;
};

TEST_F(ServedImageTest, TheMapSaysWhereDataIs) {
  for (const std::string format : {"qcow2", "raw"}) {
    const auto map = map_image(image(format), format);
    ASSERT_TRUE(map) << map.error().text();
    EXPECT_EQ(map->virtual_size, mib(8)) << format;
    // A file system may call more of a raw file data.
    EXPECT_TRUE(format == "raw" || map->data.size() == 1u);
    EXPECT_TRUE(std::ranges::any_of(map->data, [](const DataRange& range) {
      return range.offset == 1u << 20 && range.length == 64u << 10;
    })) << format;
  }
  EXPECT_FALSE(map_image((root_ / "none").string(), "raw"));
  EXPECT_FALSE(map_image(image("raw"), "qcow2"));
}

// What a mirror of the image alone copies: the parts of 64 KiB in which it says something, whole.
TEST_F(ServedImageTest, TheMapOfAnImageThatIsBuiltOnAnotherLeavesTheOtherOut) {
  const std::string base = image("raw"), top = (root_ / "top").string();
  ASSERT_TRUE(run_program({.arguments = {"qemu-io", "-f", "raw", "-c", "write -P 5 4M 1M", base}}));
  ASSERT_TRUE(run_program({.arguments = {"qemu-img", "create", "-q", "-f", "qcow2", "-o",
                                         "cluster_size=4k", "-F", "raw", "-b", base, top}}));
  ASSERT_TRUE(
      run_program({.arguments = {"qemu-io", "-f", "qcow2", "-c", "write -P 9 4100k 4k", "-c",
                                 "write -P 9 6M 4k", "-c", "write -z 4800k 4k", top}}));
  const auto own = map_image(top, "qcow2", MapOf::kOwnImage);
  ASSERT_TRUE(own) << own.error().text();
  std::uint64_t bytes = 0;
  for (const DataRange& range : own->data) {
    bytes += range.length;
    const std::uint64_t part = range.offset / kMirrorBytes;
    EXPECT_TRUE(part == 64 || part == 75 || part == 96) << range.offset;
  }
  // Two parts that the base fills but for what is zero in one, and a cluster where it has nothing.
  EXPECT_EQ(bytes, 2 * kMirrorBytes - 4096 + 4096);
  EXPECT_EQ(own->virtual_size, mib(8));
  const auto all = map_image(top, "qcow2");
  ASSERT_TRUE(all);
  EXPECT_GT(all->data.size(), own->data.size());
}

TEST_F(ServedImageTest, IsServedUntilTheObjectEnds) {
  const std::string path = image("qcow2");
  fs::path socket = root_ / "socket";
  {
    auto served = ServedImage::start(path, "qcow2", socket);
    ASSERT_TRUE(served) << served.error().text();
    EXPECT_TRUE(wait_for_socket(*served));
    EXPECT_FALSE(served->ended());
  }
  EXPECT_FALSE(fs::exists(socket));
  auto missing = ServedImage::start((root_ / "none").string(), "raw", socket);
  ASSERT_TRUE(missing);
  const Deadline limit = Deadline::after(std::chrono::seconds(20));
  while (!missing->ended() && !limit.expired())
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_TRUE(missing->ended());
}

}  // namespace
}  // namespace drover
