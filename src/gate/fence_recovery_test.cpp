// SPDX-License-Identifier: Apache-2.0
#include "gate/fence_recovery.h"

#include <csignal>
#include <filesystem>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random.h"

namespace drover::gate {
namespace {

// What QEMU does before it takes an image for writing.
bool may_write(const std::string& path) {
  const UniqueFd image(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = kFenceByte;
  lock.l_len = 1;
  EXPECT_EQ(::fcntl(image.get(), F_OFD_GETLK, &lock), 0);
  return lock.l_type == F_UNLCK;
}

TEST(FenceRecovery, BorrowsTheLockFromTheOneProcessThatStillHoldsIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "borrowing another process's descriptor needs root";
  const std::string path =
      std::filesystem::temp_directory_path() / ("drover-fence-" + random_name(8));
  ASSERT_TRUE(write_file_durably(path, std::string(4096, 'x'), 0600));
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t holder = ::fork();
  if (holder == 0) {  // stands for QEMU: keeps the locked description and does nothing else
    std::vector<FencedDisk> disks;
    disks.push_back({"vda", UniqueFd(::open(path.c_str(), O_RDONLY))});
    Fence fence(std::move(disks));
    const char word = fence.take() ? 'y' : 'n';
    (void)!::write(ready[1], &word, 1);
    ::pause();
    ::_exit(0);
  }
  char word = 0;
  ASSERT_EQ(::read(ready[0], &word, 1), 1);
  ASSERT_EQ(word, 'y');
  EXPECT_FALSE(may_write(path));

  struct stat facts{};
  ASSERT_EQ(::stat(path.c_str(), &facts), 0);
  const FencedFile file{"vda", facts.st_dev, facts.st_ino};
  auto fence = borrow_fence(std::span(&file, 1));
  ASSERT_TRUE(fence) << fence.error().text();
  EXPECT_EQ(fence->size(), 1u);
  EXPECT_TRUE(fence->lift());
  EXPECT_TRUE(may_write(path));
  EXPECT_EQ(borrow_fence(std::span(&file, 1))->size(), 0u) << "what is not locked is not a fence";

  ::kill(holder, SIGKILL);
  ::waitpid(holder, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace drover::gate
