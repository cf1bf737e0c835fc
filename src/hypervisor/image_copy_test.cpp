// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/image_copy.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>

#include "base/file.h"

namespace drover {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class ImageCopyTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "drover-copy-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    allowed_ = {root_.string()};
  }
  void TearDown() override { fs::remove_all(root_); }

  FileIdentity make(const std::string& path, const std::string& format) {
    DiskPlacement placement;
    placement.destination_path = path;
    placement.format = format;
    placement.virtual_size = mib(64);
    const auto made = create_image(placement, allowed_);
    EXPECT_TRUE(made) << made.error().text();
    return made.value_or(FileIdentity{});
  }
  // 1 MiB of text at 8 MiB; the rest are holes.
  void fill(const std::string& path) {
    const std::string write = "qemu-img convert -n -f raw -O " + GetParam() + " " +
                              (root_ / "base").string() + " " + path;
    std::ofstream(root_ / "base", std::ios::binary);
    fs::resize_file(root_ / "base", 64u << 20);
    std::fstream base(root_ / "base", std::ios::in | std::ios::out | std::ios::binary);
    base.seekp(8 << 20);
    base << std::string(1 << 20, 'x');
    base.close();
    ASSERT_EQ(std::system(write.c_str()), 0);
  }
  static Status wait(ImageCopy& copy) {
    for (int i = 0; i < 3000 && !copy.ended(); ++i) std::this_thread::sleep_for(10ms);
    return copy.ended() ? copy.result() : fail(ErrorCode::kTimeout, "It does not end.");
  }
  std::string in(const char* name) { return (root_ / name).string(); }

  fs::path root_;
  std::vector<std::string> allowed_;
};

// As of ImageSender: files stand in for devices.
TEST_P(ImageCopyTest, AVolumeIsItsFirstBytesAndHoldsAnything) {
  const FileIdentity file = make(in("a,1"), GetParam());
  fill(in("a,1"));
  std::ofstream(in("b,2")) << std::string(70 << 20, 'o');
  ImageCopyCall call{in("a,1"), file, in("b,2"), {}, GetParam(), "raw", {}, {}, mib(64)};
  auto there = ImageCopy::start(call);
  ASSERT_TRUE(there) << there.error().text();
  const Status copied = wait(*there);
  ASSERT_TRUE(copied) << copied.error().text();
  EXPECT_EQ(fs::file_size(in("b,2")), 70u << 20);
  const FileIdentity back = make(in("c"), GetParam());
  auto here = ImageCopy::start({in("b,2"), {}, in("c"), back, "raw", GetParam(), {}, mib(64), {}});
  ASSERT_TRUE(here) << here.error().text();
  const Status came = wait(*here);
  ASSERT_TRUE(came) << came.error().text();
  const std::string compare = "qemu-img compare -q -f " + GetParam() + " -F " + GetParam() + " '" +
                              in("a,1") + "' " + in("c");
  EXPECT_EQ(std::system(compare.c_str()), 0);
}

TEST_P(ImageCopyTest, HoldsTheSameAndStaysSparse) {
  const FileIdentity from = make(in("a"), GetParam()), to = make(in("b"), GetParam());
  fill(in("a"));
  auto copy = ImageCopy::start({in("a"), from, in("b"), to, GetParam(), GetParam(), {}});
  ASSERT_TRUE(copy) << copy.error().text();
  const Status done = wait(*copy);
  ASSERT_TRUE(done) << done.error().text();
  EXPECT_EQ(std::system(("qemu-img compare -q -f " + GetParam() + " -F " + GetParam() + " " +
                         in("a") + " " + in("b"))
                            .c_str()),
            0);
  EXPECT_EQ(*file_identity(in("b")), to) << "the file that was made, not another in its place";
  EXPECT_LE(copy->written().bytes, mib(2).bytes);
  EXPECT_GE(copy->written().bytes, mib(1).bytes);
}

TEST_P(ImageCopyTest, RefusesAnotherFileThanTheOneMeant) {
  const FileIdentity from = make(in("a"), GetParam()), to = make(in("b"), GetParam());
  const auto other = ImageCopy::start({in("a"), to, in("b"), to, GetParam(), GetParam(), {}});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kConflict);
  fs::remove(in("b"));
  fs::create_symlink(in("a"), in("b"));
  EXPECT_FALSE(ImageCopy::start({in("a"), from, in("b"), to, GetParam(), GetParam(), {}}));
}

FileIdentity empty_file(const std::string& path) {
  std::ofstream(path, std::ios::binary);
  return *file_identity(path);
}

TEST_P(ImageCopyTest, CopiesEveryByteAndKeepsHoles) {
  const FileIdentity from = make(in("a"), GetParam());
  fill(in("a"));
  const FileIdentity to = empty_file(in("b"));
  ByteCount said;
  const Status done = copy_whole({in("a"), from, in("b"), to, {}, [&](ByteCount copied) {
                                    said = copied;
                                    return true;
                                  }});
  ASSERT_TRUE(done) << done.error().text();
  EXPECT_EQ(*read_file(in("a"), 256u << 20), *read_file(in("b"), 256u << 20));
  EXPECT_LE(see_file(AT_FDCWD, in("b"))->allocated_bytes, mib(2).bytes);
  EXPECT_LE(said.bytes, mib(2).bytes);
}

TEST_P(ImageCopyTest, EndsTheCopyOfEveryByteWhenItIsTold) {
  const FileIdentity from = make(in("a"), GetParam());
  fill(in("a"));
  const FileIdentity to = empty_file(in("b"));
  const auto begun = std::chrono::steady_clock::now();
  const Status slow = copy_whole({in("a"), from, in("b"), to, BytesPerSecond{1024}, [&](ByteCount) {
                                    return std::chrono::steady_clock::now() - begun < 200ms;
                                  }});
  ASSERT_FALSE(slow);
  EXPECT_EQ(slow.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(copy_whole({in("a"), to, in("b"), to, {}, {}}).error().code, ErrorCode::kConflict);
}

INSTANTIATE_TEST_SUITE_P(Formats, ImageCopyTest, testing::Values("raw", "qcow2"),
                         [](const auto& tested) { return tested.param; });

class BrokenImage : public ImageCopyTest {};

TEST_P(BrokenImage, SaysWhatQemuImgSaid) {
  const FileIdentity to = make(in("b"), "qcow2");
  std::ofstream(in("a")) << "QFI\xfb no image";
  auto copy =
      ImageCopy::start({in("a"), *file_identity(in("a")), in("b"), to, "qcow2", "qcow2", {}});
  ASSERT_TRUE(copy) << copy.error().text();
  const Status done = wait(*copy);
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().text().find("qcow2"), std::string::npos) << done.error().text();
}

INSTANTIATE_TEST_SUITE_P(Formats, BrokenImage, testing::Values("qcow2"),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace drover
