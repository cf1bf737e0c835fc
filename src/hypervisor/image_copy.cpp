// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/image_copy.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hypervisor/volume_pool.h"

namespace drover {
namespace {

Result<UniqueFd> open_meant(const std::string& path, const FileIdentity& meant, int flags) {
  UniqueFd file(::open(path.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file) return fail_errno("Cannot open " + path);
  ASSIGN_OR_RETURN(const SeenFile seen, see_file_behind(file.get(), path));
  if (!seen.regular) return fail(ErrorCode::kConflict, "{} is not a file.", path);
  if (seen.identity != meant) return fail(ErrorCode::kConflict, "{} is another file by now.", path);
  return file;
}

constexpr std::uint64_t kPieceMost = 1u << 20, kPieceLeast = 64u << 10;
constexpr auto kPaceStep = std::chrono::milliseconds(50);

// Several a second, so that a limit is kept and an end is heard of.
std::size_t piece_of(BytesPerSecond bandwidth) {
  return bandwidth.value == 0 ? kPieceMost
                              : std::clamp(bandwidth.value / 8, kPieceLeast, kPieceMost);
}

// Copies what lies between holes, and remembers how far it has come.
class WholeCopy {
 public:
  WholeCopy(const WholeCopyCall& call, int from, int to)
      : call_(call), from_(from), to_(to), room_(piece_of(call.bandwidth)) {}

  Status run(std::uint64_t end) {
    for (std::uint64_t at = 0; at < end;) {
      const auto data = find(SEEK_DATA, at, end);
      if (!data) return std::unexpected(data.error());
      if (*data >= end) break;
      ASSIGN_OR_RETURN(const std::uint64_t hole, find(SEEK_HOLE, *data, end));
      RETURN_IF_ERROR(copy(*data, hole));
      at = hole;
    }
    return {};
  }

 private:
  // A file system that knows no holes has data everywhere.
  Result<std::uint64_t> find(int what, std::uint64_t at, std::uint64_t end) const {
    const off_t found = ::lseek(from_, static_cast<off_t>(at), what);
    if (found >= 0) return std::min(static_cast<std::uint64_t>(found), end);
    if (errno == ENXIO) return end;
    if (errno == EINVAL) return what == SEEK_DATA ? at : end;
    return fail_errno("Cannot read " + call_.from);
  }

  Status copy(std::uint64_t at, std::uint64_t end) {
    while (at < end) {
      RETURN_IF_ERROR(keep_pace());
      ASSIGN_OR_RETURN(const std::size_t done,
                       piece(at, std::min<std::uint64_t>(end - at, room_.size())));
      if (done == 0) {
        return fail(ErrorCode::kConflict, "{} became shorter while it was copied.", call_.from);
      }
      at += done;
      copied_ += done;
    }
    return {};
  }

  // Within one file system the kernel may share the blocks instead of copying them.
  Result<std::size_t> piece(std::uint64_t at, std::size_t length) {
    if (in_kernel_) {
      auto source = static_cast<off64_t>(at), target = static_cast<off64_t>(at);
      const ssize_t n = ::copy_file_range(from_, &source, to_, &target, length, 0);
      if (n >= 0) return static_cast<std::size_t>(n);
      if (errno == EINTR) return piece(at, length);
      if (errno == ENOSPC || errno == EIO || errno == EDQUOT) return failed();
      in_kernel_ = false;
    }
    ssize_t n = ::pread(from_, room_.data(), length, static_cast<off_t>(at));
    while (n < 0 && errno == EINTR)
      n = ::pread(from_, room_.data(), length, static_cast<off_t>(at));
    if (n < 0) return fail_errno("Cannot read " + call_.from);
    const auto got = static_cast<std::size_t>(n);
    for (std::size_t written = 0; written < got;) {
      const ssize_t w =
          ::pwrite(to_, room_.data() + written, got - written, static_cast<off_t>(at + written));
      if (w < 0 && errno == EINTR) continue;
      if (w < 0) return failed();
      written += static_cast<std::size_t>(w);
    }
    return got;
  }

  std::unexpected<Error> failed() const {
    return fail_errno(fmt::format("Cannot copy {} to {}", call_.from, call_.to));
  }

  Status keep_pace() const {
    while (true) {
      if (call_.go_on && !call_.go_on({copied_}))
        return fail(ErrorCode::kCancelled, "{} is not copied further.", call_.from);
      if (call_.bandwidth.value == 0) return {};
      const double due = static_cast<double>(copied_) / static_cast<double>(call_.bandwidth.value);
      const auto now = std::chrono::steady_clock::now();
      if (std::chrono::duration<double>(now - begun_).count() >= due) return {};
      std::this_thread::sleep_for(kPaceStep);
    }
  }

  const WholeCopyCall& call_;
  const int from_, to_;
  std::vector<char> room_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  std::uint64_t copied_ = 0;
  bool in_kernel_ = true;
};

}  // namespace

Status copy_whole(const WholeCopyCall& call) {
  ASSIGN_OR_RETURN(const UniqueFd from, open_meant(call.from, call.from_identity, O_RDONLY));
  ASSIGN_OR_RETURN(const UniqueFd to, open_meant(call.to, call.to_identity, O_RDWR));
  struct stat found{};
  if (::fstat(from.get(), &found) != 0) return fail_errno("Cannot look at " + call.from);
  if (::ftruncate(to.get(), found.st_size) != 0) return fail_errno("Cannot size " + call.to);
  RETURN_IF_ERROR(
      WholeCopy(call, from.get(), to.get()).run(static_cast<std::uint64_t>(found.st_size)));
  if (::fsync(to.get()) != 0) return fail_errno("Cannot sync " + call.to);
  return {};
}

namespace {

Result<UniqueFd> open_volume(const std::string& path, int flags) {
  UniqueFd device(::open(path.c_str(), flags | O_NONBLOCK | O_CLOEXEC));
  if (!device) return fail_errno("Cannot open " + path);
  return device;
}

// As qemu-img's --image-opts takes it; commas are doubled there.
std::string image_words(const std::string& path, const std::string& format,
                        const std::optional<ByteCount>& volume) {
  std::string name;
  for (const char c : path) name.append(c == ',' ? 2 : 1, c);
  std::string words =
      fmt::format("driver={},file.driver={},file.filename={}", format, storage_driver(path), name);
  if (volume) words += fmt::format(",size={}", volume->bytes);
  return words;
}

}  // namespace

Result<ImageCopy> ImageCopy::start(const ImageCopyCall& call) {
  ASSIGN_OR_RETURN(const UniqueFd from, call.from_volume
                                            ? open_volume(call.from, O_RDONLY)
                                            : open_meant(call.from, call.from_identity, O_RDONLY));
  ASSIGN_OR_RETURN(UniqueFd to, call.to_volume ? open_volume(call.to, O_RDWR)
                                               : open_meant(call.to, call.to_identity, O_RDWR));
  // -n: it is there.
  std::vector<std::string> arguments{"setpriv",  "--pdeathsig", "KILL", "--",
                                     "qemu-img", "convert",     "-q",   "-n"};
  if (!call.to_volume) arguments.emplace_back("--target-is-zero");
  if (call.bandwidth.value != 0) {
    arguments.emplace_back("-r");
    arguments.push_back(std::to_string(call.bandwidth.value));
  }
  if (call.from_volume)
    arguments.emplace_back("--image-opts");
  else
    arguments.insert(arguments.end(), {"-f", call.from_format});
  const std::string target = "/proc/self/fd/3";
  if (call.to_volume)
    arguments.emplace_back("--target-image-opts");
  else
    arguments.insert(arguments.end(), {"-O", call.to_format});
  arguments.push_back(call.from_volume ? image_words(call.from, "raw", call.from_volume)
                                       : call.from);
  arguments.push_back(call.to_volume ? image_words(call.to, "raw", call.to_volume) : target);
  ProgramCall program;
  program.arguments = std::move(arguments);
  program.descriptor = to.get();
  ASSIGN_OR_RETURN(RunningProgram running,
                   RunningProgram::start(program, RunningProgram::Complaints::kKeep));
  return ImageCopy(std::move(running), std::move(to), call.to);
}

ByteCount ImageCopy::written() const {
  struct stat found{};
  if (::fstat(to_.get(), &found) != 0) return {};
  return {static_cast<std::uint64_t>(found.st_blocks) * 512};
}

Status ImageCopy::result() {
  RETURN_IF_ERROR(program_.result());
  if (::fsync(to_.get()) != 0) return fail_errno("Cannot sync " + path_);
  return {};
}

}  // namespace drover
