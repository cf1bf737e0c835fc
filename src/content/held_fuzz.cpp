// SPDX-License-Identifier: Apache-2.0
// A list of held content, as any bytes: cut anywhere it means the same, and nothing that it says
// leaves its bounds.
#include <cstdlib>
#include <span>
#include <utility>
#include <vector>

#include "content/held_names.h"

using namespace drover::content;

namespace {

using Blocks = std::vector<std::pair<DiskBlock, Name>>;

// The first byte of the input says how large the pieces are.
bool read_in_pieces(std::span<const std::uint8_t> bytes, std::size_t piece, Blocks& blocks) {
  HeldRunReader reader([&](const DiskBlock& at, const Name& name) {
    if (!is_held(at.disk) || at.disk >= kDiskNumbersMax || at.block > DiskIndex::kBlockMax) {
      std::abort();
    }
    blocks.emplace_back(at, name);
  });
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min(piece, bytes.size()));
    if (!reader.feed(part)) return false;
    bytes = bytes.subspan(part.size());
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  const std::span<const std::uint8_t> input(bytes + 1, size - 1);
  Blocks whole;
  Blocks pieces;
  const bool good = read_in_pieces(input, input.size() + 1, whole);
  if (read_in_pieces(input, 1u + bytes[0], pieces) != good || whole != pieces) std::abort();
  return 0;
}
