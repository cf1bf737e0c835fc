// SPDX-License-Identifier: Apache-2.0
// The session as its links see it: what comes in, and what is to go out.
#include <algorithm>

#include <sys/socket.h>

#include "base/log.h"
#include "mover/limits.h"
#include "mover/processor_time.h"
#include "mover/session.h"

namespace drover::mover {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kPongsMax = 8;

}  // namespace

bool Session::any_link_up() const {
  return std::ranges::any_of(links_,
                             [](const auto& at) { return at.second.up && !at.second.down; });
}

Status Session::link_up(Link& link, const Hello& peer) {
  {
    const std::lock_guard lock(mutex_);
    const auto at = links_.find(link.serial());
    if (ended_ || at == links_.end()) return fail(ErrorCode::kCancelled, "The session has ended.");
    if (peer_session_ && *peer_session_ != peer.session) {
      return fail(ErrorCode::kProtocol,
                  "The other mover is not the one that this session began with.");
    }
    // Whoever has the key and the number takes the number over: the other side saw the old
    // connection die first.
    for (auto& [serial, entry] : links_) {
      if (serial == link.serial() || !entry.up || entry.link->number() != link.number()) continue;
      entry.replaced = true;
      entry.link->shut_down();
    }
    if (content_ && *content_ != agreed_content(peer.content, at->second.link->content())) {
      return fail(ErrorCode::kProtocol,
                  "The other mover agrees to other content than on its first link.");
    }
    content_ = agreed_content(peer.content, at->second.link->content());
    peer_session_ = peer.session;
    peer_reads_back_ = peer.reads_back;
    peer_reads_files_ = peer.reads_files;
    if (peer.holds && *content_ != kNoContent) ask_for_held();
    peer_window_ = peer.window_bytes;
    at->second.up = true;
    at->second.next_ping_at = Clock::now();
    break_.link_up();
    for (auto& [id, stream] : streams_) {
      stream->out.grant(peer_window_);
      if (stream->state == Stream::State::kOpen) stream->ack_due = true;
    }
    frames_.notify_all();
    room_.notify_all();
    changed_.notify_all();
  }
  if (events_.link_up) events_.link_up(link.number());
  return {};
}

// The next link speaks what both know.
void Session::link_refused(Link&, std::span<const std::uint8_t> known) {
  const std::lock_guard lock(mutex_);
  version_ = newest_common_version(known).value_or(version_);
}

void Session::link_down(Link& link, bool was_up, const Error& error) {
  bool tell = false;
  {
    const std::lock_guard lock(mutex_);
    tell = !ended_;
    if (const auto at = links_.find(link.serial()); at != links_.end()) {
      at->second.down = true;
      tell = tell && !at->second.replaced;
    }
    if (was_up) requeue(link.serial());
    if (was_up && !any_link_up()) break_.links_lost(link.heard_at());
    frames_.notify_all();
    changed_.notify_all();
  }
  if (tell && events_.link_lost) events_.link_lost(link.number(), error);
}

// What only the lost link knew is said again on another.
void Session::requeue(LinkSerial lost) {
  for (auto& [id, stream] : streams_) {
    stream->out.link_lost(lost);
    if (stream->open.link == lost && stream->state == Stream::State::kOpening)
      stream->open.due = true;
    if (stream->opened.link == lost && stream->state != Stream::State::kOpening)
      stream->opened.due = true;
    if (stream->stop.link == lost && !stream->in.fin_known()) stream->stop.due = true;
    if (stream->miss.link == lost && stream->in.mending()) stream->miss.due = true;
    if (stream->state == Stream::State::kOpen) stream->ack_due = true;
  }
}

bool Session::next_frames(Link& link, std::vector<Frame>& frames) {
  std::unique_lock lock(mutex_);
  while (true) {
    const auto at = links_.find(link.serial());
    if (ended_ || at == links_.end() || at->second.down) return false;
    count_sent(at->second);
    at->second.load.sample(Clock::now(), thread_processor_time());
    add_link_frames(at->second, frames);
    const auto limited_until = limit_.wait_until(Clock::now());
    schedule_.fill(streams_, link.serial(), limited_until ? Bulk::kWaits : Bulk::kGoes, frames);
    if (!frames.empty()) {
      // Who made several frames ready woke one writer: it wakes the next.
      if (!limited_until && schedule_.has_bulk(streams_)) frames_.notify_one();
      hand_over(at->second, frames);
      return true;
    }
    // A copy: the wait looks at it again without the lock, and the entry may be gone by then.
    const auto wake_at =
        std::min(at->second.next_ping_at, limited_until.value_or(Clock::time_point::max()));
    frames_.wait_until(lock, wake_at);
  }
}

void Session::hand_over(LinkEntry& entry, const std::vector<Frame>& frames) {
  std::uint64_t bytes = 0;
  for (const Frame& frame : frames) {
    bytes += kFrameHeaderBytes + frame.payload.size;
    if (frame.header.stream == kRpcStream) continue;
    if (frame.header.type == FrameType::kData) counts_.data_bytes += frame.header.raw_length;
    if (frame.header.type != FrameType::kPacked) continue;
    counts_.packed_bytes += frame.header.raw_length;
    counts_.payload_bytes += frame.header.length;
  }
  limit_.charge(bytes, Clock::now());
  entry.handed_bytes = bytes;
  entry.handed_at = Clock::now();
}

// The writer is back for more: what it took last is in the socket.
void Session::count_sent(LinkEntry& entry) {
  if (entry.handed_bytes == 0) return;
  const auto up =
      std::ranges::count_if(links_, [](const auto& at) { return at.second.up && !at.second.down; });
  const std::uint64_t waited = wire_.waited_ns;
  Sent sent{.bytes = entry.handed_bytes,
            .busy = Clock::now() - entry.handed_at,
            .handing = Clock::now() - entry.handed_at,
            .waited = std::chrono::nanoseconds(waited - waited_ns_),
            .links = static_cast<std::size_t>(up)};
  if (const auto use = entry.link->use()) {
    sent.bytes = use->acknowledged_bytes - entry.use.acknowledged_bytes;
    sent.busy = use->busy - entry.use.busy;
    entry.use = *use;
  }
  choice_.sent(sent);
  waited_ns_ = waited;
  entry.handed_bytes = 0;
}

void Session::add_link_frames(LinkEntry& entry, std::vector<Frame>& frames) {
  for (const std::uint64_t token : entry.pongs) {
    frames.push_back({{.type = FrameType::kPong, .offset = token}, {}});
  }
  entry.pongs.clear();
  const auto now = Clock::now();
  if (now < entry.next_ping_at) return;
  entry.next_ping_at = now + (break_.is_standing_still() ? kStandstillPingInterval : kPingInterval);
  entry.pinged_at = now;
  frames.push_back({{.type = FrameType::kPing, .offset = ++entry.ping_token}, {}});
}

// Another link than this one brought something since it should have.
bool Session::has_lively_company(const Link& link) const {
  const auto recently = Clock::now() - kPingInterval - kSilenceStep;
  return std::ranges::any_of(links_, [&](const auto& at) {
    const LinkEntry& entry = at.second;
    return entry.up && !entry.down && entry.link.get() != &link &&
           entry.link->heard_at() > recently;
  });
}

// What a dead link carried is missed by all that comes after it over the others: where there are
// others, waiting costs more than a link that is given up too soon.
std::chrono::milliseconds Session::silence_max(const Link& link) {
  const std::lock_guard lock(mutex_);
  if (break_.is_standing_still()) return kStandstillSilenceMax;
  return has_lively_company(link) ? kCompanySilenceMax : kSilenceMax;
}

Status Session::take(Link& link, Frame frame) {
  Status taken;
  bool forgive = false;
  {
    const std::lock_guard lock(mutex_);
    const auto at = links_.find(link.serial());
    if (ended_ || at == links_.end()) return fail(ErrorCode::kCancelled, "The session has ended.");
    taken = take_locked(at->second, std::move(frame));
    forgive = break_.is_finish_forwarded();
  }
  // To send the same again would end the same: give up, unless giving up is not allowed any more.
  if (!taken && !forgive) end(SessionEnd::kGaveUp, taken.error());
  return taken;
}

Status Session::take_locked(LinkEntry& entry, Frame frame) {
  switch (frame.header.type) {
    case FrameType::kPing:
      // A peer that asks without end gets fewer answers.
      if (entry.pongs.size() < kPongsMax) entry.pongs.push_back(frame.header.offset);
      frames_.notify_all();
      return {};
    case FrameType::kPong:
      take_pong(entry, frame.header.offset);
      return {};
    case FrameType::kOpen:
      return take_open(frame.header);
    case FrameType::kOpened:
    case FrameType::kData:
    case FrameType::kPacked:
    case FrameType::kMiss:
    case FrameType::kFin:
    case FrameType::kStop:
    case FrameType::kAck:
      return take_for_stream(std::move(frame));
    case FrameType::kHello:
    case FrameType::kRefused:
    case FrameType::kInvalid:
      break;
  }
  return fail(ErrorCode::kProtocol, "The other mover sent a frame {} in the middle of a session.",
              frame_type_name(frame.header.type));
}

void Session::take_pong(LinkEntry& entry, std::uint64_t token) {
  if (token == entry.ping_token) rate_.round_trip(Clock::now() - entry.pinged_at);
}

Status Session::take_for_stream(Frame frame) {
  const auto at = streams_.find(frame.header.stream);
  if (at == streams_.end()) {
    return fail(ErrorCode::kProtocol,
                "The other mover sent a frame {} of stream {}, which it never opened.",
                frame_type_name(frame.header.type), frame.header.stream);
  }
  Stream& stream = *at->second;
  if (frame.header.type == FrameType::kOpened) return take_opened(stream, frame);
  // Over several links the answer to OPEN may come after what the destination sent next: that is an
  // answer too.
  if (options_.role == Role::kSource && stream.state == Stream::State::kOpening) opened(stream);
  if (stream.state != Stream::State::kOpen) {
    return fail(ErrorCode::kProtocol,
                "The other mover sent a frame {} of stream {}, which is not open.",
                frame_type_name(frame.header.type), frame.header.stream);
  }
  switch (frame.header.type) {
    case FrameType::kData:
    case FrameType::kPacked:
      return take_data(stream, std::move(frame));
    case FrameType::kMiss:
      return take_miss(stream, frame.header);
    case FrameType::kAck:
      return take_ack(stream, frame.header);
    case FrameType::kStop:
      take_stop(stream);
      return {};
    default:
      break;
  }
  ASSIGN_OR_RETURN(const auto taken, stream.in.take_fin(frame.header.offset));
  if (taken == IncomingHalf::Taken::kDuplicate) stream.ack_due = true;
  stream.to_write.notify_all();
  frames_.notify_all();
  return {};
}

Status Session::take_open(const FrameHeader& header) {
  if (options_.role != Role::kDestination) {
    return fail(ErrorCode::kProtocol, "The destination's mover tried to open a stream.");
  }
  const auto kind = static_cast<StreamKind>(header.flags);
  if (const auto at = streams_.find(header.stream); at != streams_.end()) {
    Stream& known = *at->second;
    if (known.kind != kind)
      return fail(ErrorCode::kProtocol, "The other mover changed the kind of a stream.");
    if (known.state != Stream::State::kOpening) known.opened.due = true;
    frames_.notify_all();
    return {};
  }
  // The numbers may come in another order than they were given, over several links.
  if (header.stream >= next_stream_ + kStreamsMax || open_streams() >= kStreamsMax) {
    return fail(ErrorCode::kProtocol, "The other mover opened more than {} streams.", kStreamsMax);
  }
  add_stream(header.stream, kind);
  changed_.notify_all();
  return {};
}

Status Session::take_opened(Stream& stream, const Frame& frame) {
  if (options_.role != Role::kSource || stream.kind == StreamKind::kRpc) {
    return fail(ErrorCode::kProtocol, "The other mover answered an OPEN that was not sent.");
  }
  if (stream.state != Stream::State::kOpening) return {};  // the answer to a repeated OPEN
  if (frame.header.flags == kOpenedNo) {
    stream.open.due = false;
    const auto text = frame.payload.view();
    refuse_stream(stream,
                  fail(ErrorCode::kUnavailable, "The destination did not open the stream: {}",
                       std::string(text.begin(), text.end()))
                      .error());
    return {};
  }
  opened(stream);
  return {};
}

void Session::opened(Stream& stream) {
  stream.open.due = false;
  stream.state = Stream::State::kOpen;
  start_threads(stream);
}

Status Session::take_data(Stream& stream, Frame frame) {
  if (frame.header.type == FrameType::kPacked && !stream.decoder) {
    return fail(ErrorCode::kProtocol,
                "The other mover packed a range of stream {}, which was not agreed on.", stream.id);
  }
  if (stream.kind == StreamKind::kHeld && options_.role == Role::kDestination) {
    return fail(ErrorCode::kProtocol, "The other mover sent bytes on the stream of held content.");
  }
  const std::uint64_t before = stream.in.buffered_bytes();
  ASSIGN_OR_RETURN(const auto taken, stream.in.take(std::move(frame)));
  buffered_bytes_ = buffered_bytes_ - before + stream.in.buffered_bytes();
  if (buffered_bytes_ > options_.window_bytes + kStreamsMax * kStreamReserveBytes) {
    return fail(ErrorCode::kProtocol, "The other mover sent more than all windows allow.");
  }
  if (taken == IncomingHalf::Taken::kDuplicate || stream.in.discards()) {
    stream.ack_due = true;
    frames_.notify_all();
  }
  stream.to_write.notify_all();
  return {};
}

Status Session::take_ack(Stream& stream, const FrameHeader& header) {
  const bool fin = (header.flags & kAckFinApplied) != 0;
  ASSIGN_OR_RETURN(const std::uint64_t progress,
                   stream.out.acknowledge(header.offset, fin, header.raw_length));
  const auto now = Clock::now();
  if (progress > 0 || fin) {
    last_progress_ = now;
    rate_.acknowledged(progress, now);
    room_.notify_all();
    if (stream.finished() || settled_at_) changed_.notify_all();
  }
  return {};
}

Status Session::take_miss(Stream& stream, const FrameHeader& header) {
  if (!stream.encoder) {
    return fail(ErrorCode::kProtocol,
                "The other mover missed content of stream {}, which has none.", stream.id);
  }
  ASSIGN_OR_RETURN(auto missed, stream.out.miss(header.offset, header.raw_length));
  if (!missed) return {};
  ++counts_.misses;
  packers_->push({.stream = stream.id,
                  .offset = header.offset,
                  .batch = {.ops = std::move(missed->ops), .literals = {}},
                  .mend_from = std::move(missed->raw),
                  .trial = false});
  return {};
}

void Session::take_stop(Stream& stream) {
  if (stream.stopped_by_peer) return;
  stream.stopped_by_peer = true;
  // The reading loop ends, and with it comes FIN; whoever writes to the local socket gets EPIPE.
  if (stream.local) ::shutdown(stream.local.get(), SHUT_RD);
  room_.notify_all();
}

}  // namespace drover::mover
