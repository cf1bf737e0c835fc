// SPDX-License-Identifier: Apache-2.0
#include "mover/frame_schedule.h"

#include <algorithm>
#include <cstring>

#include "mover/limits.h"

namespace drover::mover {
namespace {

constexpr std::size_t kUrgentFramesMax = 256;  // a batch; the rest goes with the next

Chunk text_chunk(const std::string& text) {
  const std::size_t bytes = std::min<std::size_t>(text.size(), kErrorTextBytesMax);
  Chunk chunk{std::shared_ptr<std::uint8_t[]>(new std::uint8_t[bytes + 1]), bytes};
  std::memcpy(chunk.bytes.get(), text.data(), bytes);
  return chunk;
}

FrameHeader ack_of(Stream& stream) {
  stream.ack_due = false;
  stream.acknowledged_to_peer = stream.in.applied_offset();
  return {.type = FrameType::kAck,
          .flags = stream.in.done() ? kAckFinApplied : std::uint8_t{0},
          .stream = stream.id,
          .offset = stream.in.applied_offset(),
          .raw_length = stream.in.window_bytes()};
}

}  // namespace

void FrameSchedule::fill(Streams& streams, LinkSerial link, Bulk bulk, std::vector<Frame>& frames) {
  for (auto& [id, stream] : streams) {
    if (frames.size() < kUrgentFramesMax) add_notices(*stream, link, frames);
  }
  for (auto& [id, stream] : streams) {
    const bool small = stream->out.waiting_bytes() <= kSmallBytes && bulk == Bulk::kGoes &&
                       stream->kind != StreamKind::kHeld;
    const bool urgent = stream->kind == StreamKind::kRpc || small;
    if (stream->state == Stream::State::kOpen && urgent) add_all_data(*stream, link, frames);
  }
  if (bulk == Bulk::kGoes && !add_bulk(streams, link, frames)) add_held(streams, link, frames);
}

bool FrameSchedule::has_bulk(const Streams& streams) {
  return std::ranges::any_of(streams, [](const auto& at) {
    const Stream& stream = *at.second;
    return stream.state == Stream::State::kOpen && stream.out.has_next();
  });
}

void FrameSchedule::add_notices(Stream& stream, LinkSerial link, std::vector<Frame>& frames) {
  if (stream.open.due) {
    stream.open.said(link);
    frames.push_back({{.type = FrameType::kOpen,
                       .flags = static_cast<std::uint8_t>(stream.kind),
                       .stream = stream.id},
                      {}});
  }
  if (stream.opened.due) {
    stream.opened.said(link);
    const bool yes = stream.state == Stream::State::kOpen;
    Chunk text = yes ? Chunk{} : text_chunk(stream.refusal);
    frames.push_back({{.type = FrameType::kOpened,
                       .flags = yes ? kOpenedYes : kOpenedNo,
                       .stream = stream.id,
                       .length = static_cast<std::uint32_t>(text.size)},
                      std::move(text)});
  }
  if (stream.stop.due) {
    stream.stop.said(link);
    frames.push_back({{.type = FrameType::kStop, .stream = stream.id}, {}});
  }
  if (stream.miss.due && stream.in.mending()) {
    stream.miss.said(link);
    frames.push_back({{.type = FrameType::kMiss,
                       .stream = stream.id,
                       .offset = stream.in.mending()->offset,
                       .raw_length = stream.in.mending()->raw_length},
                      {}});
  }
  if (stream.ack_due) frames.push_back({ack_of(stream), {}});
}

void FrameSchedule::add_all_data(Stream& stream, LinkSerial link, std::vector<Frame>& frames) {
  std::size_t bytes = 0;
  while (frames.size() < kUrgentFramesMax && bytes <= kSmallBytes) {
    auto frame = stream.out.take_next(link);
    if (!frame) return;
    frame->header.stream = stream.id;
    bytes += frame->payload.size;
    frames.push_back(std::move(*frame));
  }
}

bool FrameSchedule::add_bulk(Streams& streams, LinkSerial link, std::vector<Frame>& frames) {
  auto at = streams.upper_bound(last_bulk_);
  for (std::size_t i = 0; i < streams.size(); ++i, ++at) {
    if (at == streams.end()) at = streams.begin();
    Stream& stream = *at->second;
    if (stream.kind == StreamKind::kHeld) continue;
    if (stream.state != Stream::State::kOpen || !stream.out.has_next()) continue;
    auto frame = stream.out.take_next(link);
    if (!frame) continue;
    frame->header.stream = stream.id;
    last_bulk_ = stream.id;
    frames.push_back(std::move(*frame));
    return true;
  }
  return false;
}

void FrameSchedule::add_held(Streams& streams, LinkSerial link, std::vector<Frame>& frames) {
  for (auto& [id, stream] : streams) {
    if (stream->kind != StreamKind::kHeld || stream->state != Stream::State::kOpen) continue;
    auto frame = stream->out.take_next(link);
    if (!frame) continue;
    frame->header.stream = id;
    return frames.push_back(std::move(*frame));
  }
}

}  // namespace drover::mover
