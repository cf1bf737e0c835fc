// SPDX-License-Identifier: Apache-2.0
#include "mover/outgoing_half.h"

#include <algorithm>

#include "mover/limits.h"

namespace drover::mover {

void OutgoingHalf::append(Chunk chunk) {
  DROVER_CHECK(chunk.size > 0 && chunk.size <= kPayloadBytesMax && !fin_queued_ &&
               chunk.size <= credit());
  FrameHeader header{.type = FrameType::kData, .offset = end_};
  header.length = header.raw_length = static_cast<std::uint32_t>(chunk.size);
  end_ += chunk.size;
  waiting_bytes_ += chunk.size;
  ++waiting_frames_;
  entries_.push_back({header, std::move(chunk)});
}

void OutgoingHalf::finish() {
  if (fin_queued_) return;
  fin_queued_ = true;
  ++waiting_frames_;
  entries_.push_back({FrameHeader{.type = FrameType::kFin, .offset = end_}, {}});
}

std::optional<Frame> OutgoingHalf::take_next(LinkSerial link) {
  while (first_waiting_ < entries_.size() && entries_[first_waiting_].link != 0) ++first_waiting_;
  if (first_waiting_ == entries_.size()) return {};
  Entry& entry = entries_[first_waiting_++];
  mark_sent(entry, link);
  return Frame{entry.header, entry.payload};
}

void OutgoingHalf::mark_sent(Entry& entry, LinkSerial link) {
  entry.link = link;
  entry.was_sent = true;
  --waiting_frames_;
  waiting_bytes_ -= entry.header.raw_length;
  sent_end_ = std::max(sent_end_, entry.header.offset + entry.header.raw_length);
  if (entry.header.type == FrameType::kFin) fin_sent_ = true;
}

void OutgoingHalf::link_lost(LinkSerial link) {
  for (std::size_t i = entries_.size(); i-- > 0;) {
    if (entries_[i].link != link) continue;
    entries_[i].link = 0;
    ++waiting_frames_;
    waiting_bytes_ += entries_[i].header.raw_length;
    first_waiting_ = std::min(first_waiting_, i);
  }
}

Result<std::uint64_t> OutgoingHalf::acknowledge(std::uint64_t offset, bool fin_applied,
                                                std::uint32_t window_bytes) {
  if (offset > sent_end_ || (fin_applied && !fin_sent_ && !done_) ||
      (fin_applied && offset != end_)) {
    return fail(ErrorCode::kProtocol, "The other mover acknowledged what was never sent.");
  }
  granted_to_ = std::max(granted_to_, offset + window_bytes);
  if (done_ || (offset < acknowledged_)) return 0;
  const std::uint64_t progress = offset - acknowledged_;
  acknowledged_ = offset;
  while (!entries_.empty()) {
    const Entry& front = entries_.front();
    const bool is_fin = front.header.type == FrameType::kFin;
    if (is_fin ? !fin_applied : front.header.offset + front.header.raw_length > offset) break;
    // Acknowledged over one link while it waits to be sent again over another.
    if (front.link == 0) {
      --waiting_frames_;
      waiting_bytes_ -= front.header.raw_length;
    }
    entries_.pop_front();
    if (first_waiting_ > 0) --first_waiting_;
  }
  if (fin_applied) done_ = true;
  return progress;
}

void OutgoingHalf::grant(std::uint32_t window_bytes) {
  granted_to_ = std::max(granted_to_, acknowledged_ + window_bytes);
}

bool OutgoingHalf::frame_room() const { return entries_.size() < kFramesMax; }

void OutgoingHalf::give_up() {
  entries_.clear();
  first_waiting_ = waiting_frames_ = 0;
  waiting_bytes_ = 0;
  acknowledged_ = sent_end_ = end_;
  fin_queued_ = done_ = true;
}

}  // namespace drover::mover
