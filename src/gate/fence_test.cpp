// SPDX-License-Identifier: Apache-2.0
#include "gate/fence.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"

namespace drover::gate {
namespace {

namespace fs = std::filesystem;

class FenceTest : public testing::Test {
 protected:
  FenceTest() {
    fs::create_directory(folder_);
    for (const char* name : {"a", "b"}) {
      const UniqueFd fd(::open((folder_ / name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
      EXPECT_EQ(::ftruncate(fd.get(), 1 << 20), 0);
    }
  }
  ~FenceTest() override { fs::remove_all(folder_); }

  UniqueFd image(const char* name, int mode = O_RDONLY) const {
    return UniqueFd(::open((folder_ / name).c_str(), mode | O_CLOEXEC));
  }
  // The check QEMU makes before it takes the right to write (file-posix.c, raw_check_lock_bytes).
  bool qemu_may_write(const char* name) const {
    const UniqueFd fd = image(name, O_RDWR);
    struct flock lock{};
    lock.l_type = F_WRLCK;
    lock.l_start = kFenceByte;
    lock.l_len = 1;
    EXPECT_EQ(::fcntl(fd.get(), F_OFD_GETLK, &lock), 0);
    return lock.l_type == F_UNLCK;
  }
  static void set_lock(const UniqueFd& file, short type, long byte) {
    struct flock lock{};
    lock.l_type = type;
    lock.l_start = byte;
    lock.l_len = 1;
    ASSERT_EQ(::fcntl(file.get(), F_OFD_SETLK, &lock), 0);
  }
  Fence fence_both() const {
    std::vector<FencedDisk> disks;
    disks.push_back({"vda", image("a")});
    disks.push_back({"vdb", image("b")});
    return Fence(std::move(disks));
  }

  const fs::path folder_ = fs::temp_directory_path() / ("drover-fence-" + random_name(8));
};

TEST_F(FenceTest, KeepsWritersOutUntilLifted) {
  Fence fence = fence_both();
  EXPECT_TRUE(qemu_may_write("a"));
  ASSERT_TRUE(fence.take());
  ASSERT_TRUE(fence.take()) << "taking it twice is allowed";
  EXPECT_FALSE(qemu_may_write("a"));
  EXPECT_FALSE(qemu_may_write("b"));
  ASSERT_TRUE(fence.lift());
  ASSERT_TRUE(fence.lift());
  EXPECT_TRUE(qemu_may_write("a"));
  EXPECT_TRUE(qemu_may_write("b"));
}

TEST_F(FenceTest, OutlivesTheGateWhileACopyIsOpen) {
  UniqueFd held = image("a");
  {
    std::vector<FencedDisk> disks;
    disks.push_back({"vda", held.duplicate()});
    Fence fence(std::move(disks));
    ASSERT_TRUE(fence.take());
  }
  EXPECT_FALSE(qemu_may_write("a")) << "the gate's copy is closed, the other one is not";
  held.reset();
  EXPECT_TRUE(qemu_may_write("a"));
}

TEST_F(FenceTest, IsAllOrNone) {
  const UniqueFd other = image("b", O_RDWR);
  set_lock(other, F_WRLCK, kFenceByte);
  Fence fence = fence_both();
  const Status status = fence.take();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kConflict);
  EXPECT_NE(status.error().message.find("vdb"), std::string::npos);
  EXPECT_TRUE(qemu_may_write("a"));
}

// QEMU holds read locks only, so that taking the fence beside one succeeds.
TEST_F(FenceTest, SeesWhoWasThereBeforeIt) {
  const UniqueFd writer = image("b", O_RDWR);
  set_lock(writer, F_RDLCK, kWriterByte);
  Fence fence = fence_both();
  ASSERT_TRUE(fence.take());
  const Status status = fence.check_no_writer();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kConflict);
  EXPECT_TRUE(status.error().message.contains("vdb")) << status.error().message;
  set_lock(writer, F_UNLCK, kWriterByte);
  EXPECT_TRUE(fence.check_no_writer());
}

TEST_F(FenceTest, SeesARealQemuThatWrites) {
  if (std::system("command -v qemu-io >/dev/null") != 0) GTEST_SKIP() << "needs qemu-io";
  const std::string path = (folder_ / "a").string();
  const std::string command =
      "qemu-io -f raw -c 'write -P 7 0 512' -c 'sleep 5000' " + path + " >/dev/null 2>&1 &";
  ASSERT_EQ(std::system(command.c_str()), 0);
  bool there = false;
  for (int round = 0; round < 400 && !there; ++round) {
    there = std::ifstream(path, std::ios::binary).get() == 7;
    if (!there) ::usleep(10'000);
  }
  ASSERT_TRUE(there) << "qemu-io did not write within 4 s";
  Fence fence = fence_both();
  ASSERT_TRUE(fence.take());
  EXPECT_EQ(fence.check_no_writer().error().code, ErrorCode::kConflict);
}

TEST_F(FenceTest, RealQemuDoesNotOpenAFencedImageForWriting) {
  if (std::system("command -v qemu-io >/dev/null") != 0) GTEST_SKIP() << "needs qemu-io";
  const std::string image_path = (folder_ / "a").string();
  const std::string output = (folder_ / "out").string();
  const std::string command =
      "qemu-io -f raw -c 'write 0 512' " + image_path + " >" + output + " 2>&1";
  Fence fence = fence_both();
  ASSERT_TRUE(fence.take());
  EXPECT_NE(std::system(command.c_str()), 0);
  EXPECT_EQ(std::system(("grep -q 'Failed to get \"write\" lock' " + output).c_str()), 0);
  ASSERT_TRUE(fence.lift());
  EXPECT_EQ(std::system(command.c_str()), 0);
}

}  // namespace
}  // namespace drover::gate
