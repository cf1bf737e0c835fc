// SPDX-License-Identifier: Apache-2.0
#include "content/write_record.h"

#include <algorithm>
#include <cerrno>
#include <string>

#include <unistd.h>

#include "base/big_endian.h"

namespace drover::content {
namespace {

// An entry: kind (1), disk (4), first block or 0 (8), count (4 or 8), and what it counts.
enum Kind : std::uint8_t { kDisk = 1, kBlocks = 2, kZeroes = 3, kUnknown = 4, kEnd = 5 };
constexpr std::size_t kHeadBytes = 21;
constexpr std::size_t kFlushBytes = 256 * 1024;
constexpr std::uint64_t kExportNameBytesMax = 4096;
constexpr std::uint64_t kNamesOfEntryMax = 16'384;  // 64 MiB of a disk

std::array<std::uint8_t, kHeadBytes> head(Kind kind, std::uint32_t disk, std::uint64_t first,
                                          std::uint64_t count) {
  std::array<std::uint8_t, kHeadBytes> bytes{};
  bytes[0] = kind;
  store_be(&bytes[1], disk);
  store_be(&bytes[5], first);
  store_be(&bytes[13], count);
  return bytes;
}

// Reads as much as asked for; less only at the end of the file.
Result<std::size_t> read_fully(int file, std::uint64_t offset, std::span<std::uint8_t> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t n =
        ::pread(file, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("Cannot read the record of writes");
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

std::unexpected<Error> broken(const char* how) {
  return fail(ErrorCode::kProtocol, "The record of writes {}.", how);
}

}  // namespace

std::uint32_t WriteRecord::add_disk(std::string_view export_name) {
  const std::lock_guard lock(mutex_);
  const std::uint32_t number = disks_++;
  put(head(kDisk, number, 0, export_name.size()));
  put({reinterpret_cast<const std::uint8_t*>(export_name.data()), export_name.size()});
  return number;
}

void WriteRecord::blocks(std::uint32_t disk, std::uint64_t first, std::span<const Name> names) {
  const std::lock_guard lock(mutex_);
  while (!names.empty()) {
    const auto part = names.first(std::min<std::uint64_t>(names.size(), kNamesOfEntryMax));
    put(head(kBlocks, disk, first, part.size()));
    put({part.front().data(), part.size_bytes()});
    first += part.size();
    names = names.subspan(part.size());
  }
}

void WriteRecord::run(std::uint32_t disk, std::uint64_t first, std::uint64_t count,
                      const Name& name) {
  DROVER_CHECK(name == kZeroName || name == kUnknownName);
  const std::lock_guard lock(mutex_);
  put(head(name == kZeroName ? kZeroes : kUnknown, disk, first, count));
}

void WriteRecord::end(std::uint32_t disk) {
  const std::lock_guard lock(mutex_);
  put(head(kEnd, disk, 0, 0));
  (void)flush_locked();
}

void WriteRecord::put(std::span<const std::uint8_t> bytes) {
  if (!status_) return;
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  if (buffer_.size() >= kFlushBytes) (void)flush_locked();
}

Status WriteRecord::flush() {
  const std::lock_guard lock(mutex_);
  return flush_locked();
}

Status WriteRecord::flush_locked() {
  std::span<const std::uint8_t> left(buffer_);
  while (status_ && !left.empty()) {
    const ssize_t n = ::write(file_.get(), left.data(), left.size());
    if (n > 0)
      left = left.subspan(static_cast<std::size_t>(n));
    else if (n == 0 || errno != EINTR)
      status_ = fail_errno("Cannot write the record of writes");
  }
  buffer_.clear();
  return status_;
}

Status read_write_record(int file, WriteRecordVisitor& visitor) {
  std::vector<std::uint8_t> body;
  std::vector<Name> names;
  std::uint64_t at = 0;
  while (true) {
    std::array<std::uint8_t, kHeadBytes> bytes{};
    ASSIGN_OR_RETURN(const std::size_t got, read_fully(file, at, bytes));
    if (got == 0) return {};
    if (got < kHeadBytes) return broken("ends in the middle");
    at += kHeadBytes;
    const auto disk = load_be<std::uint32_t>(&bytes[1]);
    const auto first = load_be<std::uint64_t>(&bytes[5]);
    const auto count = load_be<std::uint64_t>(&bytes[13]);
    if (bytes[0] == kZeroes || bytes[0] == kUnknown) {
      visitor.run(disk, first, count, bytes[0] == kZeroes ? kZeroName : kUnknownName);
      continue;
    }
    if (bytes[0] == kEnd) {
      visitor.end(disk);
      continue;
    }
    const bool blocks = bytes[0] == kBlocks;
    if (!blocks && bytes[0] != kDisk) return broken("has an unknown entry");
    if (count > (blocks ? kNamesOfEntryMax : kExportNameBytesMax))
      return broken("has a huge entry");
    body.resize(blocks ? count * sizeof(Name) : count);
    ASSIGN_OR_RETURN(const std::size_t read, read_fully(file, at, body));
    if (read < body.size()) return broken("ends in the middle");
    at += read;
    if (!blocks) {
      visitor.disk(disk, {reinterpret_cast<const char*>(body.data()), body.size()});
      continue;
    }
    names.resize(count);
    for (std::size_t i = 0; i < names.size(); ++i)
      std::copy_n(&body[i * sizeof(Name)], sizeof(Name), names[i].begin());
    visitor.blocks(disk, first, names);
  }
}

}  // namespace drover::content
