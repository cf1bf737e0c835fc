// SPDX-License-Identifier: Apache-2.0
#include "mover/outgoing_half.h"

#include <algorithm>
#include <utility>

#include "content/batch.h"
#include "mover/limits.h"

namespace drover::mover {

OutgoingHalf::Entry& OutgoingHalf::add(Chunk raw) {
  DROVER_CHECK(raw.size > 0 && raw.size <= kPayloadBytesMax && !fin_queued_ &&
               raw.size <= credit());
  FrameHeader header{.type = FrameType::kData, .offset = end_};
  header.length = header.raw_length = static_cast<std::uint32_t>(raw.size);
  end_ += raw.size;
  waiting_bytes_ += raw.size;
  entries_.push_back({.header = header, .raw = std::move(raw), .ops = {}, .payload = {}});
  return entries_.back();
}

void OutgoingHalf::append(Chunk chunk) { add(std::move(chunk)); }

std::uint64_t OutgoingHalf::append_unpacked(Chunk raw, std::vector<std::uint8_t> ops) {
  Entry& entry = add(std::move(raw));
  entry.ops = std::move(ops);
  entry.packing = true;
  return entry.header.offset;
}

std::optional<std::size_t> OutgoingHalf::find(std::uint64_t offset) const {
  const auto at = std::ranges::lower_bound(entries_, offset, {},
                                           [](const Entry& entry) { return entry.header.offset; });
  if (at == entries_.end() || at->header.offset != offset) return {};
  if (at->header.type == FrameType::kFin) return {};
  return static_cast<std::size_t>(at - entries_.begin());
}

void OutgoingHalf::packed(std::uint64_t offset, Chunk payload) {
  const auto at = find(offset);
  if (!at || !entries_[*at].packing) return;
  Entry* entry = &entries_[*at];
  entry->packing = false;
  FrameHeader& header = entry->header;
  const bool plain = entry->ops.empty() && !entry->missed;
  if (plain && payload.size >= entry->raw.size && content::stands_alone(payload.view())) return;
  DROVER_CHECK(payload.size > 0 && payload.size <= kPayloadBytesMax);
  header.type = FrameType::kPacked;
  // Nothing but bytes is without references too.
  header.flags = plain || entry->missed ? kPackedLiteral : std::uint8_t{0};
  header.length = static_cast<std::uint32_t>(payload.size);
  entry->payload = std::move(payload);
}

Result<std::optional<OutgoingHalf::Missed>> OutgoingHalf::miss(std::uint64_t offset,
                                                               std::uint32_t raw_length) {
  if (offset < acknowledged_) return std::nullopt;
  const auto at = find(offset);
  Entry* entry = at ? &entries_[*at] : nullptr;
  const bool fits = entry != nullptr && entry->header.raw_length == raw_length &&
                    entry->end() <= sent_end_ && (entry->missed || !entry->ops.empty());
  if (!fits) {
    return fail(ErrorCode::kProtocol,
                "The other mover missed content of a range that was never sent to it.");
  }
  if (entry->missed) return std::nullopt;
  entry->missed = entry->packing = true;
  entry->payload = {};
  if (entry->link != 0) {
    entry->link = 0;
    waiting_bytes_ += raw_length;
  }
  searched_from_ = std::min(searched_from_, *at);
  return Missed{entry->raw, std::exchange(entry->ops, {})};
}

void OutgoingHalf::finish() {
  if (fin_queued_) return;
  fin_queued_ = true;
  entries_.push_back(
      {.header = {.type = FrameType::kFin, .offset = end_}, .raw = {}, .ops = {}, .payload = {}});
}

std::size_t OutgoingHalf::first_waiting() const {
  std::size_t at = searched_from_;
  while (at < entries_.size() && entries_[at].link != 0) ++at;
  return at;
}

bool OutgoingHalf::has_next() const {
  const std::size_t at = first_waiting();
  return at < entries_.size() && !entries_[at].packing;
}

std::optional<Frame> OutgoingHalf::take_next(LinkSerial link) {
  searched_from_ = first_waiting();
  if (searched_from_ == entries_.size() || entries_[searched_from_].packing) return {};
  Entry& entry = entries_[searched_from_++];
  mark_sent(entry, link);
  return Frame{entry.header, entry.header.type == FrameType::kPacked ? entry.payload : entry.raw};
}

void OutgoingHalf::mark_sent(Entry& entry, LinkSerial link) {
  entry.link = link;
  waiting_bytes_ -= entry.header.raw_length;
  sent_end_ = std::max(sent_end_, entry.end());
  if (entry.header.type == FrameType::kFin) fin_sent_ = true;
}

void OutgoingHalf::link_lost(LinkSerial link) {
  for (std::size_t i = entries_.size(); i-- > 0;) {
    if (entries_[i].link != link) continue;
    entries_[i].link = 0;
    waiting_bytes_ += entries_[i].header.raw_length;
    searched_from_ = std::min(searched_from_, i);
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
    if (is_fin ? !fin_applied : front.end() > offset) break;
    // Acknowledged over one link while it waits to be sent again over another.
    if (front.link == 0) waiting_bytes_ -= front.header.raw_length;
    entries_.pop_front();
    if (searched_from_ > 0) --searched_from_;
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
  searched_from_ = 0;
  waiting_bytes_ = 0;
  acknowledged_ = sent_end_ = end_;
  fin_queued_ = done_ = true;
}

}  // namespace drover::mover
