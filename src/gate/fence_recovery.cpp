// SPDX-License-Identifier: Apache-2.0
#include "gate/fence_recovery.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace drover::gate {
namespace {

std::optional<int> number_of(const std::filesystem::path& name) {
  const std::string text = name.filename().string();
  int value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

const FencedFile* file_behind(const std::filesystem::path& descriptor,
                              std::span<const FencedFile> files) {
  struct stat facts{};
  if (::stat(descriptor.c_str(), &facts) != 0 || !S_ISREG(facts.st_mode)) return nullptr;
  for (const FencedFile& file : files) {
    if (file.device == facts.st_dev && file.inode == facts.st_ino) return &file;
  }
  return nullptr;
}

// proc(5), /proc/PID/fdinfo: "flags:\t0100000" (octal), "lock:\t1: OFDLCK ADVISORY READ -1
// fe:00:123 201 201".
bool holds_fence(const std::filesystem::path& fdinfo) {
  std::ifstream lines(fdinfo);
  bool read_only = false;
  bool locked = false;
  const std::string range = fmt::format(" {} {}", kFenceByte, kFenceByte);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("flags:")) {
      const auto flags = std::strtoul(line.c_str() + 6, nullptr, 8);
      read_only = (flags & O_ACCMODE) == O_RDONLY;
    }
    if (line.starts_with("lock:") && line.contains("OFDLCK") && line.contains(" READ ") &&
        line.ends_with(range)) {
      locked = true;
    }
  }
  return read_only && locked;
}

Result<UniqueFd> borrow(int pid, int descriptor) {
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process) return fail_errno(fmt::format("Cannot reach process {}", pid));
  UniqueFd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), descriptor, 0)));
  if (!copy)
    return fail_errno(fmt::format("Cannot borrow descriptor {} of process {}", descriptor, pid));
  return copy;
}

}  // namespace

Result<Fence> borrow_fence(std::span<const FencedFile> files) {
  std::vector<FencedDisk> found;
  std::error_code gone;  // processes end while they are looked at
  for (const auto& process : std::filesystem::directory_iterator("/proc", gone)) {
    const auto pid = number_of(process.path());
    if (!pid || *pid == ::getpid()) continue;
    for (const auto& entry : std::filesystem::directory_iterator(process.path() / "fd", gone)) {
      const auto descriptor = number_of(entry.path());
      const FencedFile* file = descriptor ? file_behind(entry.path(), files) : nullptr;
      if (file == nullptr || !holds_fence(process.path() / "fdinfo" / entry.path().filename()))
        continue;
      ASSIGN_OR_RETURN(UniqueFd copy, borrow(*pid, *descriptor));
      found.push_back({file->target, std::move(copy)});
    }
  }
  return Fence(std::move(found));
}

}  // namespace drover::gate
