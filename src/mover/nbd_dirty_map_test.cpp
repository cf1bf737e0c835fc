// SPDX-License-Identifier: Apache-2.0
// QEMU's own server tells which blocks of a bitmap are dirty.
#include "mover/nbd_dirty_map.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/random.h"
#include "net/unix_socket.h"

namespace drover::mover {
namespace {

using namespace std::chrono_literals;

class DirtyMap : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("command -v qemu-nbd qemu-img qemu-io >/dev/null") != 0)
      GTEST_SKIP() << "qemu-utils is not here";
    std::filesystem::create_directory(folder_);
    run("qemu-img create -q -f qcow2 {0} 8G");
    run("qemu-io -f qcow2 -c 'write -q -z 6G 64k' {0}");
    run("qemu-img bitmap --add -g 4096 {0} written");
    run("qemu-io -f qcow2 -c 'write -q 8k 4k' -c 'write -q 12k 100' -c 'write -q 5G 64k' {0}");
    run("qemu-nbd --fork --pid-file={1}.pid -f qcow2 -r -B written -x disk -k {1} {0}");
  }
  // It ends with its first client, but not with one that it refused; and removes its own files.
  void TearDown() override {
    if (pid_t pid = 0; std::ifstream(socket_ + ".pid") >> pid) {
      ::kill(pid, SIGTERM);
      for (const Deadline limit = Deadline::after(5s); ::kill(pid, 0) == 0 && !limit.expired();)
        ::usleep(10'000);
    }
    std::filesystem::remove_all(folder_);
  }

  void run(const char* command) {
    ASSERT_EQ(std::system(fmt::format(fmt::runtime(command), image_, socket_).c_str()), 0);
  }
  Result<std::vector<DirtyRange>> ask(std::string_view bitmap, std::uint64_t offset,
                                      std::uint64_t length) {
    auto socket = net::connect_unix(socket_, net::SocketKind::kStream, Deadline::after(5s));
    if (!socket) return std::unexpected(socket.error());
    return dirty_ranges(std::move(*socket), "disk", bitmap, offset, length, Deadline::after(5s));
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("drover-dirty-" + random_name(8));
  const std::string image_ = folder_ / "disk.qcow2", socket_ = folder_ / "nbd.sock";
};

TEST_F(DirtyMap, NamesWhatWasWritten) {
  const auto ranges = ask("written", 0, std::uint64_t{8} << 30);
  ASSERT_TRUE(ranges) << ranges.error().text();
  EXPECT_EQ(*ranges, (std::vector<DirtyRange>{{8192, 8192}, {std::uint64_t{5} << 30, 65536}}));
}

TEST_F(DirtyMap, NamesOnlyWhatWasAskedFor) {
  const auto ranges = ask("written", 12288, 4096);
  ASSERT_TRUE(ranges) << ranges.error().text();
  EXPECT_EQ(*ranges, (std::vector<DirtyRange>{{12288, 4096}}));
}

TEST_F(DirtyMap, SaysThatThereIsNoSuchBitmap) {
  const auto ranges = ask("another", 0, 4096);
  ASSERT_FALSE(ranges);
  EXPECT_EQ(ranges.error().code, ErrorCode::kUnavailable);
}

TEST_F(DirtyMap, NamesWhatHasData) {
  auto socket = net::connect_unix(socket_, net::SocketKind::kStream, Deadline::after(5s));
  ASSERT_TRUE(socket) << socket.error().text();
  const auto ranges =
      data_ranges(std::move(*socket), "disk", std::uint64_t{8} << 30, Deadline::after(5s));
  ASSERT_TRUE(ranges) << ranges.error().text();
  // What lies beside it in a cluster may be called data, or not.
  ASSERT_EQ(ranges->size(), 2u);
  EXPECT_LE(ranges->at(0).offset, 8192u);
  EXPECT_GE(ranges->at(0).offset + ranges->at(0).length, 12388u);
  EXPECT_LE(ranges->at(0).offset + ranges->at(0).length, 65536u);
  EXPECT_EQ(ranges->at(1), (DiskRange{std::uint64_t{5} << 30, 65536}));
}

}  // namespace
}  // namespace drover::mover
