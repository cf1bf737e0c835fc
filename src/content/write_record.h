// SPDX-License-Identifier: Apache-2.0
// What a destination's mover wrote to its disks, as a file: the names of the blocks of each write
// that the hypervisor answered, in the order of the answers. From it the destination can say what
// its disks held when the move's writes ended ("as sent", docs/proof.md). About 0.4 % of what was
// written. The format is in docs/proof.md too.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "content/ops.h"

namespace drover::content {

// Blocks that are nothing but zeros are named so, and those of which nobody knows what they hold.
inline constexpr Name kZeroName{};
inline constexpr Name kUnknownName = [] {
  Name name{};
  name.fill(0xff);
  return name;
}();

// Appends; any thread. Errors are kept: after one the record ends, and whoever reads it finds the
// rest missing.
class WriteRecord {
 public:
  explicit WriteRecord(UniqueFd file) : file_(std::move(file)) {}
  ~WriteRecord() { flush(); }

  // A number for the disk, in this record.
  std::uint32_t add_disk(std::string_view export_name);
  void blocks(std::uint32_t disk, std::uint64_t first, std::span<const Name> names);
  // All of them one and the same: zero or unknown.
  void run(std::uint32_t disk, std::uint64_t first, std::uint64_t count, const Name& name);
  // No more of this disk follows: only now what was said of it counts.
  void end(std::uint32_t disk);
  // All that was said is in the file. kSystem: it is not, nor will be.
  Status flush();

 private:
  void put(std::span<const std::uint8_t> bytes);
  Status flush_locked();

  std::mutex mutex_;  // guards all below
  UniqueFd file_;
  std::uint32_t disks_ = 0;
  std::vector<std::uint8_t> buffer_;
  Status status_;
};

// Calls the functions in the order of the file. kSystem: it cannot be read. kProtocol: it is not
// such a file, or its end is missing.
class WriteRecordVisitor {
 public:
  virtual ~WriteRecordVisitor() = default;
  virtual void disk(std::uint32_t number, std::string_view export_name) = 0;
  virtual void blocks(std::uint32_t disk, std::uint64_t first, std::span<const Name> names) = 0;
  virtual void run(std::uint32_t disk, std::uint64_t first, std::uint64_t count,
                   const Name& name) = 0;
  virtual void end(std::uint32_t disk) = 0;
};
Status read_write_record(int file, WriteRecordVisitor& visitor);

}  // namespace drover::content
