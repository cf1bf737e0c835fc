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
