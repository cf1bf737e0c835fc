// SPDX-License-Identifier: Apache-2.0
// The session as its streams' loops see it, and how streams begin.
#include <algorithm>

#include <sys/socket.h>

#include "base/log.h"
#include "content/ops.h"
#include "mover/held_pump.h"
#include "mover/limits.h"
#include "mover/session.h"

namespace drover::mover {
namespace {

// How soon a wait for names looks again whether they still come.
constexpr std::chrono::milliseconds kNamesStep{100};

// Nothing but bytes: may travel as they are.
bool is_plain(const content::Batch& batch, std::size_t raw_bytes) {
  if (batch.literals.size() != raw_bytes) return false;
  std::vector<std::uint8_t> ops;
  content::append_op(ops, {.kind = content::OpKind::kLiteral, .count = raw_bytes});
  return batch.ops == ops;
}

}  // namespace

Stream& Session::add_stream(StreamId id, StreamKind kind) {
  auto& stream = streams_[id];
  stream = std::make_unique<Stream>(id, kind, options_.window_bytes);
  stream->out.grant(peer_window_);
  return *stream;
}

// With content: what the loops of a stream of memory or disks encode or decode with.
void Session::equip(Stream& stream) {
  const bool described = stream.kind == StreamKind::kMemory || stream.kind == StreamKind::kDisks;
  if (!described || content_.value_or(kNoContent) == kNoContent) return;
  const bool memory = stream.kind == StreamKind::kMemory;
  const auto kind = memory ? content::StreamKind::kMemory : content::StreamKind::kDisk;
  if (source_content_) stream.encoder = std::make_unique<content::Encoder>(source_content_, kind);
  if (destination_content_)
    stream.decoder = std::make_unique<content::Decoder>(destination_content_);
}

void Session::start_threads(Stream& stream) {
  if (stream.kind == StreamKind::kHeld) return start_held_threads(stream);
  prepare_local_socket(stream.local.get());
  equip(stream);
  if (writes_ && stream.kind == StreamKind::kDisks)
    stream.writes = std::make_unique<content::WriteLog>(writes_);
  stream.reader_ended = stream.writer_ended = false;
  stream.reader = std::jthread([this, &stream] {
    if (stream.encoder)
      encode_from_local(*this, stream, pool_);
    else
      pump_from_local(*this, stream, pool_);
  });
  stream.writer = std::jthread([this, &stream] { pump_to_local(*this, stream); });
}

void Session::start_held_threads(Stream& stream) {
  stream.reader_ended = stream.writer_ended = false;
  if (options_.role == Role::kSource) {
    stream.reader = std::jthread([this, &stream] { say_nothing(*this, stream); });
    stream.writer = std::jthread([this, &stream] { learn_held(*this, stream, *source_content_); });
  } else {
    stream.reader = std::jthread(
        [this, &stream] { name_held(*this, stream, *options_.held, destination_content_->key()); });
    stream.writer = std::jthread([this, &stream] { take_nothing(*this, stream); });
  }
}

// Once a session, as soon as the destination said that it holds something.
void Session::ask_for_held() {
  if (held_asked_ || options_.role != Role::kSource || source_content_ == nullptr) return;
  held_asked_ = true;
  add_stream(next_stream_++, StreamKind::kHeld).open.due = true;
  disks_wait_.expect();
  memory_wait_.expect();
}

void Session::no_more_names() {
  disks_wait_.end();
  memory_wait_.end();
}

// The guest waits for nothing: what it changed last is new to everybody.
void Session::await_names(Stream& stream) {
  const bool memory = stream.kind == StreamKind::kMemory;
  if (memory && !options_.memory_waits) return;
  NamesWait& wait = memory ? memory_wait_ : disks_wait_;
  std::unique_lock lock(mutex_);
  const auto waits = [&] {
    const double carried = choice_.throughput() / content::kBlockBytes;
    if (!memory && source_content_->held_disks_are_named()) return false;
    return !ended_ && !stream.stopped_by_peer && !source_content_->guest_is_stopped() &&
           wait.goes_on(std::chrono::steady_clock::now(), source_content_->held_blocks(), carried);
  };
  while (waits()) room_.wait_for(lock, kNamesStep);
}

void Session::start_rpc(UniqueFd local) {
  const std::lock_guard lock(mutex_);
  DROVER_CHECK(links_.empty() && streams_.empty());
  Stream& stream = add_stream(kRpcStream, StreamKind::kRpc);
  stream.local = std::move(local);
  stream.state = Stream::State::kOpen;
  start_threads(stream);
}

std::size_t Session::open_streams() const {
  return static_cast<std::size_t>(std::ranges::count_if(streams_, [](const auto& at) {
    return at.second->state != Stream::State::kRefused && !at.second->finished();
  }));
}

Status Session::open_stream(StreamKind kind, UniqueFd local) {
  DROVER_CHECK(options_.role == Role::kSource);
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return fail(ErrorCode::kConflict, "The session has ended.");
    if (open_streams() >= kStreamsMax || next_stream_ >= kFirstOpenedStream + kStreamsEverMax) {
      return fail(ErrorCode::kConflict, "The hypervisor opened too many {} connections.",
                  stream_kind_name(kind));
    }
    Stream& stream = add_stream(next_stream_++, kind);
    stream.local = std::move(local);
    stream.open.due = true;
    frames_.notify_all();
  }
  if (events_.stream_opened) events_.stream_opened(kind);
  return {};
}

void Session::refuse_stream(Stream& stream, const Error& error) {
  log::warning("Stream {} ({}) was refused: {}", stream.id, stream_kind_name(stream.kind),
               error.text());
  stream.state = Stream::State::kRefused;
  stream.refusal = error.text();
  stream.out.give_up();
  stream.in.discard();
  if (stream.kind == StreamKind::kHeld) no_more_names();
  stream.in.fin_applied();
  if (stream.local) ::shutdown(stream.local.get(), SHUT_RDWR);
  changed_.notify_all();
}

void Session::open_in_order() {
  std::unique_lock lock(mutex_);
  while (true) {
    const auto next = [&] { return ended_ || streams_.contains(next_stream_); };
    changed_.wait(lock, next);
    if (ended_) return;
    Stream& stream = *streams_.at(next_stream_++);
    lock.unlock();
    open_one(stream);
    lock.lock();
  }
}

Result<UniqueFd> Session::open_local(const Stream& stream) {
  if (stream.kind != StreamKind::kHeld) return opener_(stream.kind, stream.id);
  if (holds_ && !std::exchange(held_asked_, true)) return UniqueFd();  // it has no local socket
  return fail(ErrorCode::kConflict, "Nothing is held, or it was asked for before.");
}

void Session::open_one(Stream& stream) {
  auto local = open_local(stream);
  const bool opened = local.has_value();
  const bool told = opened && stream.kind != StreamKind::kHeld;
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    if (opened) {
      stream.local = std::move(*local);
      stream.state = Stream::State::kOpen;
      start_threads(stream);
    } else {
      refuse_stream(stream, local.error());
    }
    stream.opened.due = true;
    frames_.notify_all();
  }
  if (told && events_.stream_opened) events_.stream_opened(stream.kind);
}

// Its own reserve first, then what the pool of all streams has left.
std::uint64_t Session::allowance(const Stream& stream) const {
  const auto beyond_reserve = [](std::uint64_t bytes) -> std::uint64_t {
    return bytes > kStreamReserveBytes ? bytes - kStreamReserveBytes : 0;
  };
  std::uint64_t pool_used = 0;
  for (const auto& [id, other] : streams_) pool_used += beyond_reserve(other->held_bytes());
  const std::uint64_t window = std::min<std::uint64_t>(rate_.limit_bytes(), peer_window_);
  const std::uint64_t pool = beyond_reserve(window);
  const std::uint64_t held = stream.held_bytes();
  const std::uint64_t own = held < kStreamReserveBytes ? kStreamReserveBytes - held : 0;
  const std::uint64_t left = own + (pool > pool_used ? pool - pool_used : 0);
  const std::uint64_t credit = stream.out.credit();
  const std::uint64_t free_credit = credit > stream.kept_bytes ? credit - stream.kept_bytes : 0;
  return std::min({left, free_credit, std::uint64_t{kPayloadBytesMax}});
}

// Nothing: it is not held.
std::optional<std::chrono::steady_clock::time_point> Session::held_until(StreamKind kind) const {
  const auto held = hold_times_.find(kind);
  if (held == hold_times_.end()) return {};
  const auto now = std::chrono::steady_clock::now();
  if (now < held->second.from || now >= held->second.until) return {};
  return held->second.until;
}

std::size_t Session::reserve(Stream& stream) {
  std::unique_lock lock(mutex_);
  while (true) {
    if (ended_) return 0;
    // What is left in the local socket after a STOP is wanted by nobody.
    if (stream.stopped_by_peer) return 0;
    if (const auto until = held_until(stream.kind)) {
      room_.wait_until(lock, *until);
      continue;
    }
    const std::uint64_t bytes = allowance(stream);
    if (bytes >= kReadLeastBytes && stream.out.frame_room()) {
      stream.reserved_bytes = bytes;
      return bytes;
    }
    rate_.held_back();
    room_.wait(lock);
  }
}

void Session::took(Stream& stream, Chunk chunk) {
  const std::lock_guard lock(mutex_);
  stream.reserved_bytes = 0;
  if (chunk.size == 0) return;
  stream.out.append(std::move(chunk));
  frames_.notify_one();
}

void Session::took_range(Stream& stream, Range range) {
  const std::lock_guard lock(mutex_);
  stream.reserved_bytes = 0;
  stream.kept_bytes = range.kept;
  if (range.raw.size == 0) return;
  append_range(stream, std::move(range));
  if (stream.out.has_next()) frames_.notify_one();
}

void Session::append_range(Stream& stream, Range range) {
  choice_.encoded(range.plain ? range.raw.size : range.batch.literals.size(), range.encoding);
  const bool plain = range.plain || is_plain(range.batch, range.raw.size);
  const bool small = range.raw.size <= kSmallRangeBytes;
  const bool trial = !small && choice_.trial_due(std::chrono::steady_clock::now());
  const bool as_it_is = small || (choice_.way() == kNoPacking && !trial);
  if (as_it_is && plain) return stream.out.append(std::move(range.raw));
  if (range.plain) range.batch = content::literal_batch(range.raw.view());
  const bool runs = is_running(choice_.way()) && *content_ >= kRunningSince;
  auto ops = plain ? std::vector<std::uint8_t>{} : range.batch.ops;
  const std::uint64_t offset = stream.out.append_unpacked(std::move(range.raw), std::move(ops));
  if (as_it_is) {
    stream.out.packed(offset, chunk_of(content::pack(range.batch, kPackWays[kNoPacking])));
  } else {
    packers_->push({.stream = stream.id,
                    .offset = offset,
                    .batch = std::move(range.batch),
                    .mend_from = {},
                    .trial = trial,
                    .running = runs ? stream.encoder->running() : nullptr});
  }
}

void Session::packed(StreamId id, std::uint64_t offset, Chunk payload) {
  const std::lock_guard lock(mutex_);
  OutgoingHalf& out = streams_.at(id)->out;
  out.packed(offset, std::move(payload));
  if (out.has_next()) frames_.notify_one();
}

void Session::reading_ended(Stream& stream) {
  const std::lock_guard lock(mutex_);
  stream.out.finish();
  stream.reader_ended = true;
  frames_.notify_all();
  changed_.notify_all();
}

std::optional<Frame> Session::next_to_write(Stream& stream) {
  std::unique_lock lock(mutex_);
  stream.to_write.wait(lock,
                       [&] { return ended_ || stream.in.has_next() || stream.in.fin_reached(); });
  if (ended_) return {};
  return stream.in.next();
}

void Session::wrote(Stream& stream, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t before = stream.in.buffered_bytes();
  stream.in.applied(bytes);
  buffered_bytes_ = buffered_bytes_ - before + stream.in.buffered_bytes();
  last_progress_ = std::chrono::steady_clock::now();
  const std::uint64_t unsaid = stream.in.applied_offset() - stream.acknowledged_to_peer;
  if (unsaid < kAckBytes && stream.in.has_next()) return;
  stream.ack_due = true;
  frames_.notify_one();
}

void Session::missed(Stream& stream, const FrameHeader& header) {
  const std::lock_guard lock(mutex_);
  ++counts_.misses;
  stream.in.missed(header);
  if (!stream.in.mending()) return;
  stream.miss.due = true;
  frames_.notify_all();
}

void Session::broken(Stream& stream, const Error& error) {
  bool forgive = false;
  {
    const std::lock_guard lock(mutex_);
    forgive = break_.is_finish_forwarded();
    // Whoever waits for the bytes shall not wait for ever.
    if (stream.local) ::shutdown(stream.local.get(), SHUT_RDWR);
  }
  log::error("Stream {} ({}) cannot be decoded: {}", stream.id, stream_kind_name(stream.kind),
             error.text());
  if (!forgive) end(SessionEnd::kGaveUp, error);
}

void Session::local_reader_gone(Stream& stream) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t before = stream.in.buffered_bytes();
  stream.in.discard();
  buffered_bytes_ = buffered_bytes_ - before + stream.in.buffered_bytes();
  stream.ack_due = true;
  if (!stream.in.fin_known()) stream.stop.due = true;
  frames_.notify_all();
}

void Session::writing_ended(Stream& stream) {
  const std::lock_guard lock(mutex_);
  if (stream.in.fin_reached()) stream.in.fin_applied();
  if (stream.kind == StreamKind::kHeld) {
    no_more_names();
    room_.notify_all();
  }
  stream.writer_ended = true;
  stream.ack_due = true;
  frames_.notify_all();
  changed_.notify_all();
}

}  // namespace drover::mover
