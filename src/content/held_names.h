// SPDX-License-Identifier: Apache-2.0
// What a destination that holds files already says about them: the names of their blocks, in runs
// (docs/mover_protocol.md, "Held content"). One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/error.h"
#include "content/disk_index.h"
#include "content/ops.h"

namespace drover::content {

inline constexpr std::size_t kHeldHeadBytes = 16;
inline constexpr std::uint32_t kHeldRunMax = 1000;  // names in a run: 16,016 bytes at most
// Blocks that may be named in a move, 256 GiB of content: a bound on what the source works through.
inline constexpr std::uint64_t kHeldBlocksMax = std::uint64_t{1} << 26;

// Neighbouring blocks of one file.
struct HeldRun {
  std::uint8_t file = 0;    // from 0, below kHeldFilesMax
  std::uint64_t first = 0;  // offset / kBlockBytes
  std::vector<Name> names;  // 1 to kHeldRunMax
};

void append_held_run(std::vector<std::uint8_t>& bytes, const HeldRun& run);

// Reads runs one after another, cut anywhere.
class HeldRunReader {
 public:
  // Called for each block, with the number by which operations refer to it.
  using OnBlock = std::function<void(const DiskBlock& at, const Name& name)>;

  explicit HeldRunReader(OnBlock on_block) : on_block_(std::move(on_block)) {}

  // kProtocol: bytes that the table does not allow, or more blocks than kHeldBlocksMax. Nothing
  // may be fed after that.
  Status feed(std::span<const std::uint8_t> bytes);

 private:
  // A run's head and a name are of the same length: everything comes in such units.
  using Unit = std::array<std::uint8_t, kHeldHeadBytes>;
  static_assert(sizeof(Unit) == sizeof(Name));

  Status take(const Unit& unit);
  Status take_head(const Unit& head);

  const OnBlock on_block_;
  Unit unit_{};
  std::size_t filled_ = 0;  // of unit_
  std::uint32_t left_ = 0;  // names of the run that still come
  DiskBlock next_;          // the next name's
  std::uint64_t blocks_ = 0;
};

}  // namespace drover::content
