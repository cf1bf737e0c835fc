// SPDX-License-Identifier: Apache-2.0
// Where everything lies in a qcow2 image (version 3, docs/interop/qcow2.txt of QEMU) that is
// written at once: the tables first, then the data in the disk's own order. All of it is known
// before the first byte is written, so the image can be written, and hashed, from its beginning to
// its end by several threads. Values only; any thread may read one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/byte_count.h"
#include "base/error.h"

namespace drover {

// Bytes of a disk, or of a file.
struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// What an image that is based on another one says of that.
struct Qcow2Base {
  std::string name;              // of its file; relative: to the folder of the image
  std::string format;            // "raw", "qcow2"
  std::vector<ByteRange> zeros;  // of the disk, in order: what reads as zeros whatever the base has
};

class Qcow2Layout {
 public:
  // `data`: what does not read as zeros, in order, within the disk. `cluster`: 0: as qemu-img has
  // it. `base`: null: none. Of a cluster with data all is data; else it reads as zeros if any of it
  // is among base->zeros; else as the base does. kInvalidArgument: there is no such image.
  static Result<Qcow2Layout> make(ByteCount virtual_size, ByteCount cluster,
                                  std::span<const ByteRange> data, const Qcow2Base* base = nullptr);

  // The bytes of a cluster where `cluster` are wished for.
  static std::uint64_t cluster_for(ByteCount cluster);

  // Of the whole image.
  std::uint64_t file_bytes() const { return clusters_ * cluster_; }
  std::uint64_t cluster_bytes() const { return cluster_; }

  // What a part of the file is made of, without gaps.
  struct Part {
    enum class Kind { kTables, kDisk, kZeros } kind = Kind::kZeros;
    std::uint64_t length = 0;
    std::uint64_t from = 0;  // kTables: in the file; kDisk: in the disk
  };
  // REQUIRES: within the file.
  std::vector<Part> parts(ByteRange of_file) const;
  // The bytes of the tables from `offset` on. REQUIRES: within the tables.
  void write_tables(std::uint64_t offset, std::span<char> into) const;

 private:
  // Neighbouring clusters of the disk that lie side by side in the file, too.
  struct Run {
    std::uint64_t in_disk = 0, in_file = 0, count = 0;
  };
  // Neighbouring clusters of the disk that are nowhere in the file, and read as zeros.
  struct ZeroRun {
    std::uint64_t in_disk = 0, count = 0;
  };
  Qcow2Layout() = default;
  Status add_data(std::span<const ByteRange> data);
  Status add_zeros(std::span<const ByteRange> zeros);
  Status name_base(const Qcow2Base& base);
  void need_tables(std::uint64_t first, std::uint64_t end);
  void place_tables();
  void write_cluster(std::uint64_t number, std::span<std::uint8_t> into) const;
  void write_header(std::span<std::uint8_t> into) const;
  void write_references(std::uint64_t first, std::span<std::uint8_t> into) const;
  void write_first_level(std::uint64_t first, std::span<std::uint8_t> into) const;
  void write_second_level(std::uint64_t table, std::span<std::uint8_t> into) const;
  std::uint64_t entries() const { return cluster_ / 8; }  // of a cluster of a table

  std::uint64_t virtual_size_ = 0, cluster_ = 0;
  std::uint64_t first_level_entries_ = 0;
  // In clusters of the file, in this order: the header, then these, then the data.
  std::uint64_t reference_table_ = 0, references_ = 0, first_level_ = 0, second_level_ = 0;
  std::uint64_t data_ = 0, clusters_ = 0;  // the first with data; how many there are
  std::vector<std::uint64_t> tables_;      // which tables of the second level there are
  std::vector<Run> runs_;
  std::vector<ZeroRun> zeros_;        // may overlap `runs_`, which win
  std::vector<std::uint8_t> naming_;  // what the header has behind itself: the base
  std::uint64_t name_at_ = 0, name_bytes_ = 0;
};

}  // namespace drover
