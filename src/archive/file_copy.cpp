// SPDX-License-Identifier: Apache-2.0
#include "archive/file_copy.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "net/digest_stream.h"

namespace drover::archive {
namespace {

constexpr std::string_view kHashName = "sha256-mib:";
// Reading, hashing and writing of more pieces at once gains nothing: the disk is the limit then.
constexpr unsigned kWorkersMost = 4;
// What is zero for so much stays a hole: a block of most file systems.
constexpr std::size_t kHoleLeast = 4096;
constexpr auto kPause = std::chrono::milliseconds(50);
// Digests of so many pieces are kept at once (2 MiB of them, for 64 GiB of a file): a file that is
// all hole may be as long as its file system allows, and takes no room.
constexpr std::uint64_t kPiecesAtOnce = 65536;

std::string_view text_of(std::span<const char> bytes) { return {bytes.data(), bytes.size()}; }

bool is_zero(std::span<const char> bytes) {
  return bytes.empty() ||
         (bytes[0] == 0 && std::equal(bytes.begin() + 1, bytes.end(), bytes.begin()));
}

const net::Digest& zero_piece() {
  static const net::Digest digest = net::sha256(std::string(kHashPiece, '\0'));
  return digest;
}

class File final : public ByteSource {
 public:
  File(int file, std::string_view name, std::uint64_t size)
      : file_(file), name_(name), size_(size) {}

  std::uint64_t size() const override { return size_; }
  unsigned readers() const override {
    return std::clamp(std::thread::hardware_concurrency(), 1u, kWorkersMost);
  }
  // Whether nothing of it was ever written. A file system that knows no holes says no.
  bool is_hole(std::uint64_t offset, std::uint64_t length) const override {
    const off_t data = ::lseek(file_, static_cast<off_t>(offset), SEEK_DATA);
    if (data < 0) return errno == ENXIO;
    return static_cast<std::uint64_t>(data) >= offset + length;
  }
  Status read(unsigned, std::uint64_t offset, std::span<char> into) override {
    while (!into.empty()) {
      const ssize_t n = ::pread(file_, into.data(), into.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno(fmt::format("Cannot read {}", name_));
      if (n == 0) {
        return fail(ErrorCode::kConflict, "{} became shorter while it was read.", name_);
      }
      into = into.subspan(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
    return {};
  }

 private:
  const int file_;
  const std::string_view name_;
  const std::uint64_t size_;
};

class Work {
 public:
  Work(ByteSource& from, int to, std::string_view name, const CopyWatch& watch)
      : from_(from),
        to_(to),
        name_(name),
        watch_(watch),
        size_(from.size()),
        pieces_((size_ + kHashPiece - 1) / kHashPiece) {}

  Result<std::string> run() {
    net::DigestStream all;
    for (first_ = 0; first_ < pieces_; first_ += digests_.size()) {
      digests_.resize(std::min(kPiecesAtOnce, pieces_ - first_));
      next_ = 0;
      take_all();
      if (failure_) return std::unexpected(std::move(*failure_));
      all.add(
          {reinterpret_cast<const char*>(digests_.data()), digests_.size() * sizeof(net::Digest)});
    }
    return std::string(kHashName) + to_hex(all.end());
  }

 private:
  void take_all() {
    std::vector<std::jthread> others;
    const unsigned workers = from_.readers();
    for (unsigned i = 1; i < workers && i < digests_.size(); ++i)
      others.emplace_back([this, i] { work(i); });
    work(0);
  }

  void work(unsigned reader) {
    std::vector<char> piece(kHashPiece);
    while (true) {
      const std::uint64_t number = next_++;
      if (number >= digests_.size() || failed_) return;
      Status done = watch_.go_on ? watch_.go_on() : Status{};
      if (done) done = take(reader, first_ + number, piece);
      if (done) done = keep_pace();
      if (done) continue;
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::move(done).error();
      failed_ = true;
    }
  }

  Status take(unsigned reader, std::uint64_t number, std::vector<char>& room) {
    const std::uint64_t offset = number * kHashPiece;
    const std::size_t length = std::min(kHashPiece, size_ - offset);
    if (length == kHashPiece && from_.is_hole(offset, length)) {
      digests_[number - first_] = zero_piece();
      return {};
    }
    const std::span<char> piece(room.data(), length);
    RETURN_IF_ERROR(from_.read(reader, offset, piece));
    if (watch_.bytes_read != nullptr) *watch_.bytes_read += length;
    read_ += length;
    digests_[number - first_] = net::sha256(text_of(piece));
    return to_ < 0 ? Status{} : write(offset, piece);
  }

  Status write(std::uint64_t offset, std::span<const char> piece) const {
    const auto start = static_cast<off_t>(offset), length = static_cast<off_t>(piece.size());
    while (!piece.empty()) {
      // As many blocks as are all zero, or all not.
      const bool zero = is_zero(piece.first(std::min(kHoleLeast, piece.size())));
      std::size_t run = 0;
      while (run < piece.size() &&
             is_zero(piece.subspan(run, std::min(kHoleLeast, piece.size() - run))) == zero) {
        run += std::min(kHoleLeast, piece.size() - run);
      }
      if (!zero) RETURN_IF_ERROR(write_all(offset, piece.first(run)));
      offset += run;
      piece = piece.subspan(run);
    }
    // So that the last fsync does not find all of it waiting.
    (void)::sync_file_range(to_, start, length, SYNC_FILE_RANGE_WRITE);
    return {};
  }

  Status write_all(std::uint64_t offset, std::span<const char> bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(to_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno(fmt::format("Cannot write the copy of {}", name_));
      bytes = bytes.subspan(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
    return {};
  }

  Status keep_pace() const {
    if (watch_.bandwidth.value == 0) return {};
    const double due = static_cast<double>(read_) / static_cast<double>(watch_.bandwidth.value);
    while (std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count() < due) {
      if (watch_.go_on) RETURN_IF_ERROR(watch_.go_on());
      std::this_thread::sleep_for(kPause);
    }
    return {};
  }

  ByteSource& from_;
  const int to_;  // -1: only hashed
  const std::string_view name_;
  const CopyWatch& watch_;
  const std::uint64_t size_, pieces_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::uint64_t first_ = 0;           // the piece whose digest is the first of `digests_`
  std::vector<net::Digest> digests_;  // each is one worker's own until all have ended
  std::atomic<std::uint64_t> next_{0}, read_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;  // guards failure_
  std::optional<Error> failure_;
};

Result<File> open_file(int file, std::string_view name) {
  struct stat found{};
  if (::fstat(file, &found) != 0) return fail_errno(fmt::format("Cannot look at {}", name));
  if (!S_ISREG(found.st_mode)) return fail(ErrorCode::kConflict, "{} is not a file.", name);
  return File(file, name, static_cast<std::uint64_t>(found.st_size));
}

Result<HashedFile> pass(ByteSource& from, int to, std::string_view name, const CopyWatch& watch) {
  const std::uint64_t size = from.size();
  if (size > kFileMost) {
    return fail(ErrorCode::kInvalidArgument, "{} is longer than {}; no image is.", name,
                to_text(ByteCount{kFileMost}));
  }
  if (to >= 0 && ::ftruncate(to, static_cast<off_t>(size)) != 0)
    return fail_errno(fmt::format("Cannot size the copy of {}", name));
  ASSIGN_OR_RETURN(std::string hash, Work(from, to, name, watch).run());
  if (to >= 0 && ::fsync(to) != 0)
    return fail_errno(fmt::format("Cannot sync the copy of {}", name));
  return HashedFile{{size}, std::move(hash)};
}

}  // namespace

Result<HashedFile> hash_file(int from, std::string_view name, const CopyWatch& watch) {
  ASSIGN_OR_RETURN(File file, open_file(from, name));
  return pass(file, -1, name, watch);
}

Result<HashedFile> copy_file(int from, int to, std::string_view name, const CopyWatch& watch) {
  ASSIGN_OR_RETURN(File file, open_file(from, name));
  return pass(file, to, name, watch);
}

Result<HashedFile> copy_bytes(ByteSource& from, int to, std::string_view name,
                              const CopyWatch& watch) {
  return pass(from, to, name, watch);
}

std::string hash_of(std::string_view content) {
  net::DigestStream all;
  for (std::size_t at = 0; at < content.size(); at += kHashPiece) {
    const net::Digest piece = net::sha256(content.substr(at, kHashPiece));
    all.add({reinterpret_cast<const char*>(piece.data()), piece.size()});
  }
  return std::string(kHashName) + to_hex(all.end());
}

bool is_hash(std::string_view text) {
  if (!text.starts_with(kHashName)) return false;
  text.remove_prefix(kHashName.size());
  return text.size() == 2 * sizeof(net::Digest) && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace drover::archive
