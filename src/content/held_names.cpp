// SPDX-License-Identifier: Apache-2.0
#include "content/held_names.h"

#include <algorithm>

#include "base/big_endian.h"

namespace drover::content {
namespace {

auto malformed(const char* what) {
  return fail(ErrorCode::kProtocol, "The other mover's list of held content has a wrong {}.", what);
}

}  // namespace

void append_held_run(std::vector<std::uint8_t>& bytes, const HeldRun& run) {
  DROVER_CHECK(!run.names.empty() && run.names.size() <= kHeldRunMax && run.file < kHeldFilesMax);
  std::array<std::uint8_t, kHeldHeadBytes> head{};
  head[0] = run.file;
  store_be(&head[4], static_cast<std::uint32_t>(run.names.size()));
  store_be(&head[8], run.first);
  bytes.insert(bytes.end(), head.begin(), head.end());
  for (const Name& name : run.names) bytes.insert(bytes.end(), name.begin(), name.end());
}

Status HeldRunReader::feed(std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min(bytes.size(), unit_.size() - filled_));
    std::ranges::copy(part, unit_.begin() + static_cast<std::ptrdiff_t>(filled_));
    filled_ += part.size();
    bytes = bytes.subspan(part.size());
    if (filled_ < unit_.size()) return {};
    filled_ = 0;
    RETURN_IF_ERROR(take(unit_));
  }
  return {};
}

Status HeldRunReader::take(const Unit& unit) {
  if (left_ == 0) return take_head(unit);
  on_block_(next_, unit);
  ++next_.block;
  --left_;
  return {};
}

Status HeldRunReader::take_head(const Unit& head) {
  if (head[0] >= kHeldFilesMax) return malformed("file");
  if (head[1] != 0 || head[2] != 0 || head[3] != 0) return malformed("reserved field");
  left_ = load_be<std::uint32_t>(&head[4]);
  if (left_ == 0 || left_ > kHeldRunMax) return malformed("length");
  const auto first = load_be<std::uint64_t>(&head[8]);
  if (first > DiskIndex::kBlockMax - left_) return malformed("place");
  blocks_ += left_;
  if (blocks_ > kHeldBlocksMax) return malformed("number of blocks");
  next_ = {static_cast<std::uint8_t>(kHeldFirst + head[0]), first};
  return {};
}

}  // namespace drover::content
