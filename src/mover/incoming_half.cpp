// SPDX-License-Identifier: Apache-2.0
#include "mover/incoming_half.h"

#include "mover/limits.h"

namespace drover::mover {

Result<bool> IncomingHalf::is_duplicate(std::uint64_t offset, std::uint64_t end) const {
  const auto overlap = [] {
    return fail(ErrorCode::kProtocol,
                "The other mover sent a frame that overlaps an earlier one by a part.");
  };
  if (end <= received_) return true;
  if (offset < received_) return overlap();
  const auto after = gaps_.lower_bound(offset);
  if (after != gaps_.end() && after->first == offset) {
    if (after->second.size != end - offset) return overlap();
    return true;
  }
  if (after != gaps_.end() && after->first < end) return overlap();
  if (after != gaps_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second.size > offset) return overlap();
  }
  return false;
}

Result<IncomingHalf::Taken> IncomingHalf::take_data(std::uint64_t offset, Chunk payload) {
  const std::uint64_t end = offset + payload.size;
  ASSIGN_OR_RETURN(const bool duplicate, is_duplicate(offset, end));
  if (duplicate) return Taken::kDuplicate;
  if (fin_at_ && end > *fin_at_)
    return fail(ErrorCode::kProtocol, "The other mover sent bytes after the end of a stream.");
  if (end > applied_ + window_bytes_)
    return fail(ErrorCode::kProtocol, "The other mover sent more than the window allows.");
  if (offset == received_) {
    received_ = end;
    ready_.push_back(std::move(payload));
    close_gaps();
  } else {
    if (gaps_.size() >= kGapFramesMax)
      return fail(ErrorCode::kProtocol, "The other mover left too many gaps in a stream.");
    gap_bytes_ += payload.size;
    gaps_.emplace(offset, std::move(payload));
  }
  if (discards_) discard();
  return Taken::kNew;
}

void IncomingHalf::close_gaps() {
  while (!gaps_.empty() && gaps_.begin()->first == received_) {
    Chunk& chunk = gaps_.begin()->second;
    received_ += chunk.size;
    gap_bytes_ -= chunk.size;
    ready_.push_back(std::move(chunk));
    gaps_.erase(gaps_.begin());
  }
}

Result<IncomingHalf::Taken> IncomingHalf::take_fin(std::uint64_t offset) {
  if (fin_at_) {
    if (*fin_at_ != offset)
      return fail(ErrorCode::kProtocol, "The other mover named two ends of a stream.");
    return Taken::kDuplicate;
  }
  const std::uint64_t known_end =
      gaps_.empty() ? received_ : gaps_.rbegin()->first + gaps_.rbegin()->second.size;
  if (offset < known_end)
    return fail(ErrorCode::kProtocol, "The other mover ended a stream before its last byte.");
  if (offset > applied_ + window_bytes_)
    return fail(ErrorCode::kProtocol, "The other mover ended a stream beyond the window.");
  fin_at_ = offset;
  return Taken::kNew;
}

std::optional<Chunk> IncomingHalf::next() {
  if (ready_.empty()) return {};
  Chunk chunk = std::move(ready_.front());
  ready_.pop_front();
  return chunk;
}

void IncomingHalf::applied(std::uint64_t bytes) {
  // What was being written when discard() counted everything is not counted twice.
  if (discards_) return;
  applied_ += bytes;
  DROVER_CHECK(applied_ <= received_);
}

void IncomingHalf::discard() {
  discards_ = true;
  ready_.clear();
  applied_ = received_;
}

}  // namespace drover::mover
