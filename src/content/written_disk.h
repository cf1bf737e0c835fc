// SPDX-License-Identifier: Apache-2.0
// What a disk held when a move's writes to it had ended, from the record of them: the leaves of a
// hash tree whose inner nodes cover 1 MiB each. What was never written is zero, as the image was
// made; of a disk whose record has no end, nothing is known. Its names lie in a file of 0.4 % of
// the disk's size. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/error.h"
#include "base/unique_fd.h"
#include "content/write_record.h"

namespace drover::content {

inline constexpr std::size_t kChunkBlocks = 256;
inline constexpr std::size_t kChunkBytes = kChunkBlocks * kBlockBytes;

// The inner node over a chunk's blocks, SHA-256 cut to a name's length: kZeroName if all are zero,
// kUnknownName if one of them is not known.
Name chunk_name(std::span<const Name, kChunkBlocks> blocks);

class WrittenDisk {
 public:
  // `record`: a WriteRecord's file, complete. `disk_bytes`: the disk's virtual size; what follows
  // its last whole block does not count. `scratch`: an empty file that nobody else uses. kSystem,
  // kProtocol: of the record; kNoSpace for the scratch file.
  static Result<WrittenDisk> read(int record, std::string_view export_name,
                                  std::uint64_t disk_bytes, UniqueFd scratch);

  // False: the mover has not closed the record of this disk, or never will.
  bool complete() const { return complete_; }
  std::uint64_t chunks() const { return chunks_; }
  // REQUIRES: chunk < chunks().
  Name name(std::uint64_t chunk) const;

 private:
  struct Unmap {
    std::size_t bytes;
    void operator()(Name* names) const;
  };
  class Reader;

  bool complete_ = false;
  std::uint64_t chunks_ = 0;
  std::unique_ptr<Name, Unmap> names_;  // chunks_ * kChunkBlocks
};

}  // namespace drover::content
