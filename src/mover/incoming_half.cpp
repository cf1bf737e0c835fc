// SPDX-License-Identifier: Apache-2.0
#include "mover/incoming_half.h"

#include "mover/limits.h"

namespace drover::mover {
namespace {

bool is_literal(const FrameHeader& header) {
  return header.type == FrameType::kPacked && (header.flags & kPackedLiteral) != 0;
}

}  // namespace

Result<bool> IncomingHalf::is_duplicate(std::uint64_t offset, std::uint64_t end) const {
  const auto overlap = [] {
    return fail(ErrorCode::kProtocol,
                "The other mover sent a frame that overlaps an earlier one by a part.");
  };
  if (end <= received_) return true;
  if (offset < received_) return overlap();
  const auto after = gaps_.lower_bound(offset);
  if (after != gaps_.end() && after->first == offset) {
    if (after->second.header.raw_length != end - offset) return overlap();
    return true;
  }
  if (after != gaps_.end() && after->first < end) return overlap();
  if (after != gaps_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second.header.raw_length > offset) return overlap();
  }
  return false;
}

Result<IncomingHalf::Taken> IncomingHalf::take(Frame frame) {
  const std::uint64_t offset = frame.header.offset;
  const std::uint64_t raw_length = frame.header.raw_length;
  const std::uint64_t end = offset + raw_length;
  if (mending_ && offset == mending_->offset && is_literal(frame.header))
    return take_answer(std::move(frame));
  ASSIGN_OR_RETURN(const bool duplicate, is_duplicate(offset, end));
  if (duplicate) return Taken::kDuplicate;
  if (fin_at_ && end > *fin_at_)
    return fail(ErrorCode::kProtocol, "The other mover sent bytes after the end of a stream.");
  if (end > applied_ + window_bytes_)
    return fail(ErrorCode::kProtocol, "The other mover sent more than the window allows.");
  if (offset == received_) {
    received_ = end;
    ready_.push_back(std::move(frame));
    close_gaps();
  } else {
    if (gaps_.size() >= kGapFramesMax)
      return fail(ErrorCode::kProtocol, "The other mover left too many gaps in a stream.");
    gap_bytes_ += raw_length;
    gaps_.emplace(offset, std::move(frame));
  }
  if (discards_) discard();
  return Taken::kNew;
}

Result<IncomingHalf::Taken> IncomingHalf::take_answer(Frame frame) {
  if (frame.header.raw_length != mending_->raw_length) {
    return fail(ErrorCode::kProtocol,
                "The other mover answered a MISS with a range of another length.");
  }
  if (answer_) return Taken::kDuplicate;
  answer_ = std::move(frame);
  return Taken::kNew;
}

void IncomingHalf::close_gaps() {
  while (!gaps_.empty() && gaps_.begin()->first == received_) {
    Frame& frame = gaps_.begin()->second;
    received_ += frame.header.raw_length;
    gap_bytes_ -= frame.header.raw_length;
    ready_.push_back(std::move(frame));
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
      gaps_.empty() ? received_ : gaps_.rbegin()->first + gaps_.rbegin()->second.header.raw_length;
  if (offset < known_end)
    return fail(ErrorCode::kProtocol, "The other mover ended a stream before its last byte.");
  if (offset > applied_ + window_bytes_)
    return fail(ErrorCode::kProtocol, "The other mover ended a stream beyond the window.");
  fin_at_ = offset;
  return Taken::kNew;
}

std::optional<Frame> IncomingHalf::next() {
  if (!has_next()) return {};
  if (mending_) {
    mending_.reset();
    return std::exchange(answer_, std::nullopt);
  }
  Frame frame = std::move(ready_.front());
  ready_.pop_front();
  return frame;
}

void IncomingHalf::missed(const FrameHeader& header) {
  if (discards_) return;
  DROVER_CHECK(!mending_ && header.type == FrameType::kPacked && !is_literal(header) &&
               header.offset == applied_);
  mending_ = header;
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
  mending_.reset();
  answer_.reset();
  applied_ = received_;
}

}  // namespace drover::mover
