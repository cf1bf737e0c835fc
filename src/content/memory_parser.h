// SPDX-License-Identifier: Apache-2.0
// Finds the page records in QEMU's migration stream, as QEMU 7.2 to 10.x write it on a main
// channel without multifd, XBZRLE or post-copy. Anything else makes the stream opaque from the
// first byte that is not understood: nothing after it is looked at. Holds no content. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace drover::content {

// What begins at the next byte.
struct MemoryToken {
  enum Kind {
    kMore,    // the head is not whole yet
    kOpaque,  // unknown: the stream is bytes from here on
    kPlain,   // head_bytes, then body_bytes that mean nothing here
    kPage,    // a record's header, then a page
    kZero,    // a record's header and the fill byte 0
  };
  Kind kind = kMore;
  std::size_t head_bytes = 0;
  std::size_t body_bytes = 0;
  std::uint64_t header = 0;  // kPage, kZero: address and flags
  std::uint64_t index = 0;   // kPage, kZero: the page's number, counted through all blocks
};

class MemoryParser {
 public:
  static constexpr std::size_t kHeadBytesMax = 512;  // heads are no longer, but for unknown bytes
  static constexpr std::size_t kBlocksMax = 1024;    // RAM blocks; a guest has tens

  // Where the parser stands, without the list of blocks: small, so that a look ahead is cheap.
  struct Position {
    enum Phase { kMagic, kSections, kBlocks, kRecords, kOpaque };
    Phase phase = kMagic;
    bool after_configuration = false;  // its subsections may follow
    bool guest_stopped = false;        // the last section of memory has begun
    std::optional<std::uint32_t> ram_section;
    std::optional<std::size_t> block;    // the one named last
    std::uint64_t block_bytes_left = 0;  // phase kBlocks: not yet listed
  };

  // Takes the next token; its body need not be there. kMore: nothing was taken, ask again with more
  // bytes. After kOpaque always kOpaque.
  MemoryToken next(std::span<const std::uint8_t> bytes);
  // The same from a position of the caller's, without taking it. Records can be looked ahead at
  // only once knows_blocks().
  MemoryToken peek(Position& at, std::span<const std::uint8_t> bytes) const;

  const Position& position() const { return at_; }
  bool knows_blocks() const { return at_.ram_section && at_.phase != Position::kBlocks; }
  // Of all blocks; final once the first record came.
  std::uint64_t pages() const { return pages_; }

 private:
  struct Block {
    std::string name;
    std::uint64_t first_index;
    std::uint64_t pages;
  };
  MemoryToken section(Position& at, std::span<const std::uint8_t> bytes) const;
  MemoryToken start_section(Position& at, std::span<const std::uint8_t> bytes) const;
  MemoryToken record(Position& at, std::span<const std::uint8_t> bytes) const;
  MemoryToken page_record(Position& at, std::span<const std::uint8_t> bytes,
                          std::uint64_t header) const;
  std::optional<std::size_t> find_block(std::span<const std::uint8_t> name) const;
  MemoryToken list_block(Position& at, std::span<const std::uint8_t> bytes) const;
  void add_block(std::span<const std::uint8_t> entry);

  Position at_;
  std::vector<Block> blocks_;
  std::uint64_t pages_ = 0;
};

}  // namespace drover::content
