// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/image_sender.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "hypervisor/image_server.h"

namespace drover {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

// A sender straight into a server, without movers between.
class ImageSenderTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "drover-send-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    ::chmod(root_.c_str(), 0777);  // QEMU's user makes its socket here
    allowed_ = {root_.string()};
  }
  void TearDown() override { fs::remove_all(root_); }

  FileIdentity make(const std::string& path, const std::string& format,
                    std::optional<Allocation> allocation = {}) {
    DiskPlacement placement;
    placement.allocation = allocation;
    placement.destination_path = path;
    placement.format = format;
    placement.virtual_size = mib(64);
    const auto made = create_image(placement, allowed_);
    EXPECT_TRUE(made) << made.error().text();
    return made.value_or(FileIdentity{});
  }
  // 1 MiB of text at 8 MiB; the rest are holes.
  void fill(const std::string& path) {
    std::ofstream(root_ / "base", std::ios::binary);
    fs::resize_file(root_ / "base", 64u << 20);
    std::fstream base(root_ / "base", std::ios::in | std::ios::out | std::ios::binary);
    base.seekp(8 << 20);
    base << std::string(1 << 20, 'x');
    base.close();
    ASSERT_EQ(run("qemu-img convert -n -f raw -O " + GetParam() + " " + in("base") + " " + path),
              0);
  }
  static int run(const std::string& command) { return std::system(command.c_str()); }
  static Status wait(ImageSender& sender) {
    for (int i = 0; i < 3000 && !sender.ended(); ++i) std::this_thread::sleep_for(10ms);
    return sender.ended() ? sender.result() : fail(ErrorCode::kTimeout, "It does not end.");
  }
  std::string in(const char* name) { return (root_ / name).string(); }

  fs::path root_;
  std::vector<std::string> allowed_;
};

// What a disk's mirror writes: bytes of zeroes, and "this is zero".
TEST_P(ImageSenderTest, ZeroesTakeRoomInAFullImageAndNoneInAThinOne) {
  for (const Allocation allocation : {Allocation::kThin, Allocation::kFull}) {
    const std::string path = in(allocation == Allocation::kThin ? "thin" : "full");
    const FileIdentity to = make(path, GetParam(), allocation);
    auto server = ImageServer::start({{"vda", path, to, GetParam(), allocation}}, in("nbd.sock"));
    ASSERT_TRUE(server) << server.error().text();
    EXPECT_EQ(run("qemu-io -f raw -c 'write -q -P 0 0 8M' -c 'write -q -z -u 8M 8M' "
                  "'nbd+unix:///vda?socket=" +
                  in("nbd.sock") + "'"),
              0);
    ASSERT_TRUE((*server)->stop());
    struct stat made{};
    ASSERT_EQ(::stat(path.c_str(), &made), 0);
    const auto bytes = static_cast<std::uint64_t>(made.st_blocks) * 512;
    if (allocation == Allocation::kThin) {
      EXPECT_LT(bytes, 1u << 20);
    } else {
      EXPECT_GE(bytes, 64u << 20);
    }
  }
}

TEST_P(ImageSenderTest, WhatItSendsIsServedIntoTheFile) {
  const FileIdentity from = make(in("a"), GetParam()), to = make(in("b"), GetParam());
  fill(in("a"));
  auto server = ImageServer::start({{"vda", in("b"), to, GetParam()}}, in("nbd.sock"));
  ASSERT_TRUE(server) << server.error().text();
  EXPECT_TRUE((*server)->alive());
  auto sender = ImageSender::start({in("a"), from, GetParam(), in("nbd.sock"), "vda"});
  ASSERT_TRUE(sender) << sender.error().text();
  const Status sent = wait(*sender);
  ASSERT_TRUE(sent) << sent.error().text();
  const Status stopped = (*server)->stop();
  EXPECT_TRUE(stopped) << stopped.error().text();
  EXPECT_FALSE((*server)->alive());
  EXPECT_FALSE(fs::exists(in("nbd.sock")));
  EXPECT_EQ(run("qemu-img compare -q -f " + GetParam() + " -F " + GetParam() + " " + in("a") + " " +
                in("b")),
            0);
  EXPECT_EQ(*file_identity(in("b")), to);
  struct stat made{};
  ASSERT_EQ(::stat(in("b").c_str(), &made), 0);
  EXPECT_LT(made.st_blocks * 512, 3 << 20) << "holes stay holes";
}

// A device is stood in for by a file: what differs is which bytes are the disk, and that it may
// hold anything.
TEST_P(ImageSenderTest, AVolumeIsItsFirstBytesAndHoldsAnything) {
  if (GetParam() != "raw") GTEST_SKIP() << "volumes are raw";
  (void)make(in("a"), "raw");
  fill(in("a"));
  std::ofstream(in("a"), std::ios::app) << std::string(1 << 20, 'a');
  std::ofstream(in("b")) << std::string(70 << 20, 'o');
  auto server = ImageServer::start({{"vda", in("b"), {}, "raw", {}, mib(64)}}, in("nbd.sock"));
  ASSERT_TRUE(server) << server.error().text();
  auto sender = ImageSender::start(
      {in("a"), {}, "raw", in("nbd.sock"), "vda", mib(64), ImageSendCall::Export::kHoldsAnything});
  ASSERT_TRUE(sender) << sender.error().text();
  const Status sent = wait(*sender);
  ASSERT_TRUE(sent) << sent.error().text();
  ASSERT_TRUE((*server)->stop());
  EXPECT_EQ(run("cmp -n " + std::to_string(64 << 20) + " " + in("a") + " " + in("b")), 0);
  std::ifstream behind(in("b"));
  behind.seekg(64 << 20);
  EXPECT_EQ(behind.get(), 'o') << "what lies behind the disk is not touched";
}

TEST_P(ImageSenderTest, AnotherFileIsRefusedOnBothSides) {
  const FileIdentity from = make(in("a"), GetParam());
  EXPECT_EQ(ImageServer::start({{"vda", in("a"), {1, 2, 0, {}}, GetParam()}}, in("nbd.sock"))
                .error()
                .code,
            ErrorCode::kConflict);
  EXPECT_EQ(ImageSender::start(
                {in("a"), {from.device, from.inode + 1, 0, {}}, GetParam(), in("nbd.sock"), "vda"})
                .error()
                .code,
            ErrorCode::kConflict);
}

TEST_P(ImageSenderTest, AServerThatCannotOpenAnImageSaysWhy) {
  std::ofstream(in("b")) << "no image of this kind";
  const auto made = file_identity(in("b"));
  ASSERT_TRUE(made);
  const auto server = ImageServer::start({{"vda", in("b"), *made, "qcow2"}}, in("nbd.sock"));
  ASSERT_FALSE(server);
  EXPECT_TRUE(server.error().text().contains("qcow2")) << server.error().text();
}

TEST_P(ImageSenderTest, ASenderWithoutAServerSaysWhy) {
  const FileIdentity from = make(in("a"), GetParam());
  auto sender = ImageSender::start({in("a"), from, GetParam(), in("nobody.sock"), "vda"});
  ASSERT_TRUE(sender);
  const Status sent = wait(*sender);
  ASSERT_FALSE(sent);
  EXPECT_TRUE(sent.error().text().contains("nobody.sock")) << sent.error().text();
}

INSTANTIATE_TEST_SUITE_P(Formats, ImageSenderTest, testing::Values("raw", "qcow2"));

}  // namespace
}  // namespace drover
