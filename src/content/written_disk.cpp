// SPDX-License-Identifier: Apache-2.0
#include "content/written_disk.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <system_error>

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <unistd.h>

namespace drover::content {
namespace {

constexpr std::uint64_t kDiskBytesMax = std::uint64_t{1} << 50;

}  // namespace

Name chunk_name(std::span<const Name, kChunkBlocks> blocks) {
  if (std::ranges::find(blocks, kUnknownName) != blocks.end()) return kUnknownName;
  if (std::ranges::all_of(blocks, [](const Name& name) { return name == kZeroName; }))
    return kZeroName;
  std::array<std::uint8_t, 32> whole;
  DROVER_CHECK(EVP_Digest(blocks.data(), blocks.size_bytes(), whole.data(), nullptr, EVP_sha256(),
                          nullptr) == 1);
  Name name;
  std::copy_n(whole.begin(), name.size(), name.begin());
  return name;
}

// Of one disk's entries: a later one replaces what an earlier one said.
class WrittenDisk::Reader : public WriteRecordVisitor {
 public:
  Reader(std::string_view export_name, std::span<Name> names)
      : export_name_(export_name), names_(names) {}

  void disk(std::uint32_t number, std::string_view export_name) override {
    if (export_name != export_name_) return;
    ours_.insert(number);
    // Two streams to one disk: nobody knows the order of their writes.
    if (ours_.size() > 1) std::ranges::fill(names_, kUnknownName);
  }
  void blocks(std::uint32_t disk, std::uint64_t first, std::span<const Name> names) override {
    if (ours_.size() != 1 || !ours_.contains(disk)) return;
    const auto here = part(first, names.size());
    std::copy_n(names.begin(), here.size(), here.begin());
  }
  void run(std::uint32_t disk, std::uint64_t first, std::uint64_t count,
           const Name& name) override {
    if (ours_.size() != 1 || !ours_.contains(disk)) return;
    const auto here = part(first, count);
    // Most is zero and stays so: such pages of the scratch file are not touched.
    for (Name& each : here) {
      if (each != name) each = name;
    }
  }
  void end(std::uint32_t disk) override { ended_ += ours_.contains(disk); }
  bool complete() const { return !ours_.empty() && ended_ == ours_.size(); }

 private:
  std::span<Name> part(std::uint64_t first, std::uint64_t count) const {
    const std::uint64_t start = std::min<std::uint64_t>(first, names_.size());
    return names_.subspan(start, std::min<std::uint64_t>(count, names_.size() - start));
  }

  const std::string_view export_name_;
  const std::span<Name> names_;
  std::set<std::uint32_t> ours_;
  std::size_t ended_ = 0;
};

Result<WrittenDisk> WrittenDisk::read(int record, std::string_view export_name,
                                      std::uint64_t disk_bytes, UniqueFd scratch) {
  if (disk_bytes > kDiskBytesMax)
    return fail(ErrorCode::kInvalidArgument, "A disk of {} bytes cannot be compared.", disk_bytes);
  WrittenDisk disk;
  const std::uint64_t blocks = disk_bytes / kBlockBytes;
  disk.chunks_ = (blocks + kChunkBlocks - 1) / kChunkBlocks;
  if (disk.chunks_ == 0) return disk;
  const std::uint64_t bytes = disk.chunks_ * kChunkBlocks * sizeof(Name);
  // All of it: a full file system shows here, not as a signal when the mapping is written.
  if (const int error = ::posix_fallocate(scratch.get(), 0, static_cast<off_t>(bytes));
      error != 0) {
    return fail(error == ENOSPC ? ErrorCode::kNoSpace : ErrorCode::kSystem,
                "Cannot make room of {} bytes for the names of a disk's blocks: {}.", bytes,
                std::generic_category().message(error));
  }
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, scratch.get(), 0);
  if (memory == MAP_FAILED) return fail_errno("Cannot map the names of a disk's blocks");
  disk.names_ = {static_cast<Name*>(memory), Unmap{bytes}};
  Reader reader(export_name, {disk.names_.get(), blocks});
  RETURN_IF_ERROR(read_write_record(record, reader));
  disk.complete_ = reader.complete();
  return disk;
}

Name WrittenDisk::name(std::uint64_t chunk) const {
  DROVER_CHECK(chunk < chunks_);
  if (!complete_) return kUnknownName;
  return chunk_name(
      std::span<const Name, kChunkBlocks>(names_.get() + chunk * kChunkBlocks, kChunkBlocks));
}

void WrittenDisk::Unmap::operator()(Name* names) const { ::munmap(names, bytes); }

}  // namespace drover::content
