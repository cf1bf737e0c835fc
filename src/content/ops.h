// SPDX-License-Identifier: Apache-2.0
// The language of a batch (docs/mover_protocol.md, "Content", has the table): a list of operations
// that rebuild a range of a stream. A batch stands alone: no operation refers to another batch
// except through the receiver's page cache. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "content/batch.h"

namespace drover::content {

// A truncated keyed hash of kBlockBytes (content_name.h).
using Name = std::array<std::uint8_t, 16>;

// The numbers are on the wire: the low four bits of an operation's first byte.
enum class OpKind : std::uint8_t {
  kInvalid = 0,
  kLiteral = 1,     // count bytes from the literals
  kHeader = 2,      // the header of a page record, as it stands in `header`
  kZeroPages = 3,   // count records of zero pages
  kPages = 4,       // count pages from the literals; the receiver's cache takes each
  kSamePages = 5,   // count page records which the guest's memory has already: nothing to write
  kCachedPage = 6,  // a page from the receiver's cache
  kDiskPage = 7,    // a page from a disk of the move, or from a file that is held already
  kPlainPages = 8,  // count pages from the literals; the cache takes none (mended references)
  kDisk = 9,        // covers no bytes: from now on `disk` is the number of export `text`
};

// Bits 4 and 5: the header of the (first) page record. In a run, each further one is kNext.
enum class HeaderMode : std::uint8_t {
  kNone = 0,  // none here: kHeader stands before, or it is a block of a disk
  kNext = 1,  // the address after the last one in this batch
  kSkip = 2,  // a number follows: pages from the last one, at least 2
  kAt = 3,    // a number follows: the page's number, address / 4096
};

struct Op {
  OpKind kind = OpKind::kInvalid;
  HeaderMode mode = HeaderMode::kNone;
  std::uint64_t page = 0;                // mode kSkip, kAt
  std::uint64_t count = 1;               // bytes or pages; kCachedPage: 1
  std::uint64_t where = 0;               // kCachedPage: pages cached since, itself included, from 1
                                         // kDiskPage: offset / 4096; kHeader: the 8 bytes
  std::uint8_t disk = 0;                 // kDiskPage, kDisk
  Name name{};                           // kCachedPage, kDiskPage
  std::span<const std::uint8_t> text{};  // kHeader: u8 length and block name, or empty; kDisk: name

  std::size_t raw_bytes() const;      // of the stream which it covers
  std::size_t literal_bytes() const;  // which it takes from the literals
};

// Page records of QEMU's stream: facts of its format.
inline constexpr std::uint64_t kFlagZero = 0x02;
inline constexpr std::uint64_t kFlagPage = 0x08;
inline constexpr std::uint64_t kFlagContinue = 0x20;
inline constexpr std::size_t kRecordHeaderBytes = 8;
inline constexpr std::size_t kZeroRecordBytes = 9;

inline constexpr std::uint8_t kDisksMax = 64;     // numbers 0 to 63
inline constexpr std::uint8_t kHeldFirst = 64;    // files that the destination holds already:
inline constexpr std::uint8_t kOwnFilesMax = 32;  // of this VM, from file 0 on:
inline constexpr std::uint8_t kOwnDisksMax = kOwnFilesMax - 1;     // its disks,
inline constexpr std::uint8_t kKeptMemoryFile = kOwnFilesMax - 1;  // and memory that was kept of it
inline constexpr std::uint8_t kGroupFilesMax = 32;  // of VMs of its group, from file 32 on
inline constexpr std::uint8_t kHeldFilesMax = kOwnFilesMax + kGroupFilesMax;
inline constexpr std::uint8_t kDiskNumbersMax = kHeldFirst + kHeldFilesMax;

constexpr bool is_held(std::uint8_t disk) { return disk >= kHeldFirst; }
constexpr bool is_of_group(std::uint8_t disk) { return disk >= kHeldFirst + kOwnFilesMax; }

// Appends; kinds that count are merged by the caller.
void append_op(std::vector<std::uint8_t>& ops, const Op& op);

// Appends what the operation takes from the literals, out of the raw bytes that it covers.
void append_literals(std::span<const std::uint8_t> covered, const Op& op,
                     std::vector<std::uint8_t>& literals);

// Reads one after another. Every value is within its bounds; sums are the caller's to check.
class OpReader {
 public:
  explicit OpReader(std::span<const std::uint8_t> ops) : rest_(ops) {}
  // Nothing at the end; kProtocol for what the table does not allow. `text` points into the ops.
  Result<std::optional<Op>> next();

 private:
  Result<std::uint64_t> number(std::uint64_t at_most);
  Result<std::span<const std::uint8_t>> bytes(std::size_t count);
  Status read_fields(Op& op);

  std::span<const std::uint8_t> rest_;
};

}  // namespace drover::content
