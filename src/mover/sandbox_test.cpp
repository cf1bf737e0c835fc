// SPDX-License-Identifier: Apache-2.0
#include "mover/sandbox.h"

#include <cerrno>
#include <csignal>
#include <functional>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace drover::mover {
namespace {

constexpr int kNoSandbox = 99;
constexpr int kThrew = 98;

// Runs `body` in a child within the sandbox: its result as a wait status.
int in_sandbox(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (!enter_sandbox()) ::_exit(kNoSandbox);
    try {
      ::_exit(body());
    } catch (...) {
      ::_exit(kThrew);  // else the child would go on with the next test
    }
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

class Sandbox : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to change user and root folder";
  }
  void expect_exit(const std::function<int()>& body, int code) {
    const int status = in_sandbox(body);
    ASSERT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), code);
  }
  void expect_kill(const std::function<int()>& body) {
    const int status = in_sandbox(body);
    ASSERT_TRUE(WIFSIGNALED(status)) << "exit status " << WEXITSTATUS(status);
    EXPECT_EQ(WTERMSIG(status), SIGSYS);
  }
};

TEST_F(Sandbox, OpensNothing) {
  expect_exit([] { return ::open("/etc/passwd", O_RDONLY) < 0 ? errno : 0; }, EPERM);
  expect_exit([] { return ::open("/", O_RDONLY | O_DIRECTORY) < 0 ? errno : 0; }, EPERM);
  expect_exit([] { return ::open("x", O_WRONLY | O_CREAT, 0600) < 0 ? errno : 0; }, EPERM);
}

TEST_F(Sandbox, ReadsWhatItWasGivenAndOnlyThat) {
  const int held = ::memfd_create("held", MFD_CLOEXEC);
  ASSERT_EQ(::write(held, "12345678", 8), 8);
  expect_exit(
      [held] {
        char byte = 0;
        if (::lseek(held, 0, SEEK_DATA) != 0 || ::lseek(held, 0, SEEK_HOLE) != 8) return 1;
        return ::pread(held, &byte, 1, 6) == 1 ? byte - '0' : 2;
      },
      7);
  ::close(held);
}

TEST_F(Sandbox, MakesOnlyItsOwnThreadsLessImportant) {
  expect_exit([] { return ::setpriority(PRIO_PROCESS, 0, 10) == 0 ? 7 : errno; }, 7);
  expect_exit([] { return ::setpriority(PRIO_PROCESS, 1, 10) == 0 ? 7 : errno; }, EPERM);
  expect_exit([] { return ::setpriority(PRIO_USER, 0, 10) == 0 ? 7 : errno; }, EPERM);
}

TEST_F(Sandbox, ConnectsNowhere) {
  expect_exit([] { return ::socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0; }, EPERM);
  const int ready = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  expect_exit(
      [ready] {
        const sockaddr_un to{AF_UNIX, "/run/libvirt/libvirt-sock"};
        return ::connect(ready, reinterpret_cast<const sockaddr*>(&to), sizeof to) < 0 ? errno : 0;
      },
      EPERM);
  ::close(ready);
}

TEST_F(Sandbox, ExecAndPtraceKill) {
  expect_kill([] { return ::execl("/bin/true", "true", nullptr); });
  expect_kill([] { return static_cast<int>(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)); });
}

TEST_F(Sandbox, HasNoProcessesAndNoExecutableMemory) {
  expect_exit([] { return ::fork() < 0 ? errno : 0; }, EPERM);
  expect_exit(
      [] {
        void* at = ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return at == MAP_FAILED ? errno : 0;
      },
      EPERM);
}

TEST_F(Sandbox, IsNotRootAndStillHasThreads) {
  const int status = in_sandbox([] {
    // Not allowed to ask any more: /proc tells the parent.
    int sum = 0;
    std::thread([&] { sum = 7; }).join();
    return sum;
  });
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

}  // namespace
}  // namespace drover::mover
