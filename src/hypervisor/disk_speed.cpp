// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/disk_speed.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "base/unique_fd.h"

namespace drover {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kStep = 1024 * 1024;  // one request
constexpr int kStepsMax = 16;
constexpr int kSyncEvery = 4;
constexpr std::size_t kAligned = 4096;    // of what O_DIRECT takes, on every device
constexpr int kPlaces = 8;                // in the file, so that one hot part does not decide
constexpr int kCachePlaces = 256;         // likewise, where nothing is read
constexpr std::size_t kCacheSample = 16;  // pages

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

BytesPerSecond rate_of(std::uint64_t bytes, Clock::duration took) {
  const double seconds = std::chrono::duration<double>(took).count();
  return {static_cast<std::uint64_t>(static_cast<double>(bytes) / std::max(seconds, 1e-4))};
}

// The next offset at or after `from` at which the file holds data, aligned; -1: none.
off_t data_at(int file, off_t from) {
  const off_t found = ::lseek(file, from, SEEK_DATA);
  return found < 0 ? -1 : found / static_cast<off_t>(kAligned) * static_cast<off_t>(kAligned);
}

// Of the pages there, so many; nothing: they cannot be mapped.
std::optional<std::size_t> pages_cached(int file, off_t at, std::size_t pages) {
  const std::size_t bytes = pages * kAligned;
  void* const mapped = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file, at);
  if (mapped == MAP_FAILED) return std::nullopt;
  std::array<unsigned char, kCacheSample> cached{};
  const bool told = ::mincore(mapped, bytes, cached.data()) == 0;
  ::munmap(mapped, bytes);
  if (!told) return std::nullopt;
  return static_cast<std::size_t>(
      std::ranges::count_if(cached, [](unsigned char page) { return (page & 1) != 0; }));
}

}  // namespace

Result<BytesPerSecond> writing_speed(int folder, std::chrono::milliseconds limit) {
  const UniqueFd file(::openat(folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
  if (!file) return fail_errno("No file without a name can be made there");
  std::vector<std::uint8_t> bytes(kStep);
  fill_random(bytes);
  const auto begun = Clock::now();
  std::uint64_t written = 0;
  for (int step = 0; step < kStepsMax && Clock::now() - begun < limit; ++step) {
    const ssize_t count = ::write(file.get(), bytes.data(), bytes.size());
    if (count <= 0) return fail_errno("Cannot write there");
    written += static_cast<std::uint64_t>(count);
    // Now and then: else the kernel takes it all at once, and nothing waits.
    if (step % kSyncEvery != kSyncEvery - 1) continue;
    if (::fdatasync(file.get()) != 0) return fail_errno("Cannot sync what was written there");
  }
  if (::fdatasync(file.get()) != 0) return fail_errno("Cannot sync what was written there");
  return rate_of(written, Clock::now() - begun);
}

Result<BytesPerSecond> reading_speed(const std::string& path, std::chrono::milliseconds limit) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC | O_NONBLOCK));
  if (!file && errno == EINVAL) return BytesPerSecond{};
  if (!file) return fail_errno("Cannot open " + path);
  struct stat facts{};
  if (::fstat(file.get(), &facts) != 0) return fail_errno("Cannot look at " + path);
  if (!S_ISREG(facts.st_mode) && !S_ISBLK(facts.st_mode)) return BytesPerSecond{};
  const std::unique_ptr<void, Free> buffer(std::aligned_alloc(kAligned, kStep));
  const off_t length = S_ISREG(facts.st_mode) ? facts.st_size : ::lseek(file.get(), 0, SEEK_END);
  const auto begun = Clock::now();
  std::uint64_t read = 0;
  for (int place = 0; place < kPlaces; ++place) {
    off_t at = data_at(file.get(), length / kPlaces * place);
    for (int step = 0; step < kStepsMax / kPlaces && at >= 0; ++step) {
      if (Clock::now() - begun >= limit) return rate_of(read, Clock::now() - begun);
      const ssize_t count = ::pread(file.get(), buffer.get(), kStep, at);
      if (count < 0 && errno == EINVAL) return BytesPerSecond{};
      if (count < 0) return fail_errno("Cannot read " + path);
      if (count == 0) break;
      read += static_cast<std::uint64_t>(count);
      at += static_cast<off_t>(kStep);
    }
  }
  if (read < 2 * kStep) return BytesPerSecond{};
  return rate_of(read, Clock::now() - begun);
}

double cached_share(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat facts{};
  if (!file || ::fstat(file.get(), &facts) != 0 || !S_ISREG(facts.st_mode)) return 0;
  std::size_t looked = 0, cached = 0;
  for (int place = 0; place < kCachePlaces; ++place) {
    const off_t at = data_at(file.get(), facts.st_size / kCachePlaces * place);
    if (at < 0 || at >= facts.st_size) break;
    const auto left = static_cast<std::size_t>(facts.st_size - at) / kAligned;
    const std::size_t pages = std::min(kCacheSample, left);
    if (pages == 0) break;
    const auto found = pages_cached(file.get(), at, pages);
    if (!found) return 0;
    looked += pages;
    cached += *found;
  }
  return looked == 0 ? 0 : static_cast<double>(cached) / static_cast<double>(looked);
}

}  // namespace drover
