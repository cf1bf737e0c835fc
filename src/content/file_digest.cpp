// SPDX-License-Identifier: Apache-2.0
#include "content/file_digest.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <span>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "content/stream_digest.h"

namespace drover::content {
namespace {

constexpr std::size_t kReadBytes = 1u << 20;
constexpr std::size_t kSampleBytes = 64u << 10;
constexpr std::uint64_t kSamples = 64;

Result<std::uint64_t> length_of(int file) {
  struct stat found{};
  if (::fstat(file, &found) != 0) return fail_errno("Cannot look at a file");
  return static_cast<std::uint64_t>(found.st_size);
}

// Less than asked for only at the file's end.
Result<std::size_t> read_at(int file, std::uint64_t at, std::span<std::uint8_t> out) {
  while (true) {
    const ssize_t got = ::pread(file, out.data(), out.size(), static_cast<off_t>(at));
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return fail_errno("Cannot read a file");
  }
}

// Where the next data begin; the file's end: there are none. Without such knowledge all is data.
std::uint64_t next_data(int file, std::uint64_t at, std::uint64_t end) {
  const off_t found = ::lseek(file, static_cast<off_t>(at), SEEK_DATA);
  if (found >= 0) return std::min(static_cast<std::uint64_t>(found), end);
  return errno == ENXIO ? end : at;
}

}  // namespace

Result<std::string> file_digest(int file, std::stop_token stop) {
  ASSIGN_OR_RETURN(const std::uint64_t end, length_of(file));
  static const std::vector<std::uint8_t> kZeroes(kReadBytes);
  std::vector<std::uint8_t> bytes(kReadBytes);
  StreamDigest digest;
  for (std::uint64_t at = 0; at < end;) {
    if (stop.stop_requested()) return fail(ErrorCode::kCancelled, "The file is not read further.");
    const std::uint64_t data = next_data(file, at, end);
    if (data > at) {
      const std::size_t hole = std::min<std::uint64_t>(data - at, kReadBytes);
      digest.add(std::span(kZeroes).first(hole));
      at += hole;
      continue;
    }
    const auto part = std::span(bytes).first(std::min<std::uint64_t>(kReadBytes, end - at));
    ASSIGN_OR_RETURN(const std::size_t got, read_at(file, at, part));
    if (got == 0) return fail(ErrorCode::kConflict, "The file became shorter while it was read.");
    digest.add(std::span(bytes).first(got));
    at += got;
  }
  return digest.text();
}

Result<std::string> file_sample(int file) {
  ASSIGN_OR_RETURN(const std::uint64_t end, length_of(file));
  StreamDigest digest;
  const std::string length = fmt::format("{}\n", end);
  digest.add({reinterpret_cast<const std::uint8_t*>(length.data()), length.size()});
  const std::uint64_t last = end > kSampleBytes ? end - kSampleBytes : 0;
  std::vector<std::uint8_t> bytes(kSampleBytes);
  for (std::uint64_t i = 0; i < kSamples; ++i) {
    ASSIGN_OR_RETURN(const std::size_t got, read_at(file, last * i / (kSamples - 1), bytes));
    digest.add(std::span(bytes).first(got));
  }
  return digest.text();
}

}  // namespace drover::content
