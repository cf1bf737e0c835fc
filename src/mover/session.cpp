// SPDX-License-Identifier: Apache-2.0
#include "mover/session.h"

#include <algorithm>
#include <array>

#include <sys/socket.h>

#include "base/big_endian.h"
#include "base/log.h"
#include "base/random.h"
#include "mover/limits.h"
#include "net/digest.h"

namespace drover::mover {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kLastWordsPatience = 1s;
constexpr auto kDrainPatience = 10s;  // after `settled`: nobody needs the rest any more

std::uint64_t random_number() {
  std::array<std::uint8_t, 8> bytes{};
  fill_random(bytes);
  return load_be<std::uint64_t>(bytes.data()) | 1;
}

void add_tally(const content::Tally& tally, ContentCounts& counts) {
  counts.zero_pages = tally.zero_pages;
  counts.same_pages = tally.same_pages;
  counts.cached_pages = tally.cached_pages;
  counts.disk_pages = tally.disk_pages;
  counts.held_blocks = tally.held_blocks;
  counts.group_blocks = tally.group_blocks;
  counts.literal_pages = tally.literal_pages;
  counts.resent_pages = tally.resent_pages;
  counts.literal_bytes = tally.literal_bytes;
}

}  // namespace

content::ContentKey content_key(const PskKey& key) {
  const auto& bytes = key.bytes();
  return net::derive_key({reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                         "drover content 1");
}

Session::Session(SessionOptions options, std::unique_ptr<PskKey> key, SessionEvents events,
                 StreamOpener opener, std::shared_ptr<content::DiskReader> disks,
                 std::shared_ptr<content::WriteRecord> writes)
    : options_(std::move(options)),
      events_(std::move(events)),
      opener_(std::move(opener)),
      number_(random_number()),
      source_content_(
          options_.role == Role::kSource && options_.content
              ? std::make_shared<content::SourceContent>(
                    content_key(*key), content::SourceLimits{.references = options_.references})
              : nullptr),
      destination_content_(
          options_.role == Role::kDestination && options_.content
              ? std::make_shared<content::DestinationContent>(
                    content_key(*key), disks, options_.destination_limits, options_.held)
              : nullptr),
      writes_(std::move(writes)),
      tls_(std::move(key), options_.identity),
      reads_back_(destination_content_ != nullptr && disks != nullptr),
      reads_files_(reads_back_ && disks->reads_files()),
      holds_(destination_content_ != nullptr && options_.held != nullptr &&
             !options_.held->empty()),
      choice_(pack_workers(), options_.fixed_way, options_.link_bytes_per_second),
      rate_(options_.window_bytes),
      break_(options_.patience, options_.pause_budget, Clock::now()),
      last_progress_(Clock::now()) {
  DROVER_CHECK(options_.window_bytes >= kWindowMin && options_.window_bytes <= kWindowMax);
  set_bandwidth(options_.bandwidth_bytes_per_second);
  if (source_content_) {
    if (options_.keep) {
      source_content_->keep_pages(std::make_unique<content::PageKeeper>(
          std::move(options_.keep->file), options_.keep->key));
    }
    packers_ = std::make_unique<PackPool>(
        pack_workers(), choice_, [this](StreamId stream, std::uint64_t offset, Chunk payload) {
          packed(stream, offset, std::move(payload));
        });
  }
  watch_thread_ = std::jthread([this] { watch(); });
  if (options_.role == Role::kDestination) {
    opener_thread_ = std::jthread([this] { open_in_order(); });
  }
}

Session::~Session() {
  end(SessionEnd::kStopped, {});
  watch_thread_ = {};
  opener_thread_ = {};
  std::map<LinkSerial, LinkEntry> links;
  {
    std::unique_lock lock(mutex_);
    // Last acknowledgements are under way on the links' writers, which end by themselves.
    const auto all_down = [&] {
      return std::ranges::all_of(links_, [](const auto& at) { return at.second.down; });
    };
    changed_.wait_for(lock, kLastWordsPatience, all_down);
    links.swap(links_);
  }
  links.clear();
  // No link and no opener is left: nobody adds a stream.
  for (auto& [id, stream] : streams_) {
    stream->reader = {};
    stream->writer = {};
  }
  packers_.reset();
}

void Session::end(SessionEnd how, const Error& why) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    ended_ = true;
    for (auto& [id, stream] : streams_) {
      if (stream->local) ::shutdown(stream->local.get(), SHUT_RDWR);
      stream->to_write.notify_all();
    }
    for (auto& [serial, entry] : links_) {
      // A session that is settled lets what is queued in the sockets go out.
      if (how != SessionEnd::kSettled) entry.link->shut_down();
    }
    frames_.notify_all();
    room_.notify_all();
    changed_.notify_all();
  }
  if (events_.ended) events_.ended(how, why);
}

void Session::stop() { end(SessionEnd::kStopped, {}); }

void Session::set_patience(std::chrono::milliseconds span) {
  const std::lock_guard lock(mutex_);
  break_.set_patience(span);
  changed_.notify_all();
}

void Session::set_pause_budget(std::chrono::milliseconds span) {
  const std::lock_guard lock(mutex_);
  break_.set_pause_budget(span);
  changed_.notify_all();
}

void Session::set_bandwidth(std::uint64_t bytes_per_second) {
  const std::lock_guard lock(mutex_);
  choice_.limit(bytes_per_second);
  limit_.set(bytes_per_second, Clock::now());
  frames_.notify_all();
}

void Session::hold(StreamKind kind, std::chrono::milliseconds span) {
  const std::lock_guard lock(mutex_);
  if (break_.is_standing_still()) return;
  const auto now = Clock::now();
  hold_times_[kind] = {now, now + span};
  room_.notify_all();
}

void Session::pass(StreamKind kind, std::chrono::milliseconds span) {
  const std::lock_guard lock(mutex_);
  if (break_.is_standing_still()) return;
  const auto from = Clock::now() + span;
  hold_times_[kind] = {from, from + kHoldForEver};
  room_.notify_all();
}

void Session::standstill() {
  const std::lock_guard lock(mutex_);
  hold_times_.clear();
  room_.notify_all();
  const auto now = Clock::now();
  break_.standstill(now);
  for (auto& [serial, entry] : links_) entry.next_ping_at = std::min(entry.next_ping_at, now);
  frames_.notify_all();
  changed_.notify_all();
}

void Session::finish_forwarded() {
  const std::lock_guard lock(mutex_);
  break_.finish_forwarded();
  changed_.notify_all();
}

void Session::settled() {
  const std::lock_guard lock(mutex_);
  if (!settled_at_) settled_at_ = Clock::now();
  changed_.notify_all();
}

Status Session::add_link(std::uint32_t number, UniqueFd socket) {
  if (number == 0 || number > kLinkNumberMax) {
    return fail(ErrorCode::kInvalidArgument, "A link has a number from 1 to {}, not {}.",
                kLinkNumberMax, number);
  }
  ASSIGN_OR_RETURN(auto tls, TlsLink::open(tls_, options_.role, number, std::move(socket), wire_));
  const std::lock_guard lock(mutex_);
  if (ended_) return fail(ErrorCode::kConflict, "The session has ended.");
  const auto greeting = static_cast<std::size_t>(std::ranges::count_if(
      links_, [](const auto& at) { return !at.second.up && !at.second.down; }));
  if (greeting >= kHandshakesMax || links_.size() >= kLinksMax + kHandshakesMax) {
    return fail(ErrorCode::kConflict, "Too many links are being set up at once.");
  }
  const LinkSerial serial = ++last_serial_;
  const bool content = options_.content && version_ >= kContentSince;
  const Hello hello{.version = version_,
                    .role = options_.role,
                    .link = static_cast<std::uint16_t>(number),
                    .session = number_,
                    .window_bytes = options_.window_bytes,
                    .content = content ? kContentVersion : kNoContent,
                    .takes_held = content && options_.references && options_.role == Role::kSource,
                    .reads_back = content && reads_back_,
                    .holds = content && holds_,
                    .reads_files = content && reads_files_};
  // The link's thread waits for the mutex with its first call, so it finds its entry.
  links_[serial].link =
      std::make_unique<Link>(static_cast<LinkOwner&>(*this), std::move(tls), serial, hello, pool_);
  return {};
}

// Last acknowledgements wait for a link only if there is one: a settled peer may have gone already.
bool Session::drained() const {
  const bool wait_for_words = any_link_up();
  return std::ranges::all_of(streams_, [&](const auto& at) {
    const Stream& stream = *at.second;
    if (stream.kind == StreamKind::kHeld) return true;  // what is still to be named helps nobody
    return stream.finished() && !(wait_for_words && (stream.ack_due || stream.opened.due));
  });
}

// Only while they cost less than what they save.
void Session::choose_references() {
  if (!source_content_) return;
  const double throughput = choice_.throughput();
  const double most = peer_reads_files_ ? kReadFileBytesPerSecondMax : kReadBackBytesPerSecondMax;
  const bool fast = choice_.links_are_fast();
  source_content_->name_content(!fast);
  source_content_->refer_to_disks(peer_reads_back_ && !fast && throughput > 0 && throughput < most);
}

void Session::watch() {
  while (true) {
    reap();
    std::unique_lock lock(mutex_);
    if (ended_) return;
    choose_references();
    const auto now = Clock::now();
    const bool is_drained = drained();
    const auto give_up_at = is_drained ? std::nullopt : break_.give_up_at();
    const auto drain_at = settled_at_ ? std::optional(*settled_at_ + kDrainPatience) : std::nullopt;
    if (settled_at_ && (is_drained || now >= *drain_at)) {
      lock.unlock();
      return end(SessionEnd::kSettled, {});
    }
    if (give_up_at && now >= *give_up_at) {
      lock.unlock();
      return end(
          SessionEnd::kGaveUp,
          fail(ErrorCode::kUnavailable, "No link to the other mover came up in time.").error());
    }
    // Whatever changes is told here; the second is for the worst case only.
    auto wake_at = now + 1s;
    if (give_up_at) wake_at = std::min(wake_at, *give_up_at);
    if (drain_at) wake_at = std::min(wake_at, *drain_at);
    changed_.wait_until(lock, wake_at);
  }
}

// Joins the threads of links that are down and of streams that are finished, without the mutex.
void Session::reap() {
  std::vector<std::unique_ptr<Link>> links;
  std::vector<std::jthread> threads;
  std::vector<Stream*> finished;
  {
    const std::lock_guard lock(mutex_);
    for (auto at = links_.begin(); at != links_.end();) {
      if (!at->second.down) {
        ++at;
        continue;
      }
      carried_[at->second.link->number()] += at->second.link->carried();
      links.push_back(std::move(at->second.link));
      at = links_.erase(at);
    }
    for (auto& [id, stream] : streams_) {
      if (!stream->finished() || !stream->local) continue;
      threads.push_back(std::move(stream->reader));
      threads.push_back(std::move(stream->writer));
      finished.push_back(stream.get());
    }
  }
  links.clear();
  threads.clear();
  const std::lock_guard lock(mutex_);
  for (Stream* stream : finished) {
    stream->local.reset();
    stream->writes.reset();
  }
}

SessionStatus Session::status() {
  SessionStatus status;
  status.bytes_sent = wire_.sent;
  status.bytes_received = wire_.received;
  const std::lock_guard lock(mutex_);
  auto carried = carried_;
  for (const auto& [serial, entry] : links_) {
    carried[entry.link->number()] += entry.link->carried();
    if (!entry.up || entry.down) continue;
    status.links.push_back(entry.link->number());
    status.saturated = status.saturated || entry.load.saturated(Clock::now());
  }
  for (const auto& [number, bytes] : carried) status.carried.push_back({number, bytes});
  for (const StreamKind kind : {StreamKind::kRpc, StreamKind::kMemory, StreamKind::kDisks}) {
    KindStatus sum{.kind = kind};
    for (const auto& [id, stream] : streams_) {
      if (stream->kind != kind) continue;
      ++sum.opened;
      if (stream->state != Stream::State::kRefused && !stream->finished()) ++sum.open;
      sum.sent_bytes += stream->out.end_offset();
      sum.acknowledged_bytes += stream->out.acknowledged_offset();
      sum.received_bytes += stream->in.applied_offset();
    }
    status.streams.push_back(sum);
  }
  status.since_progress =
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - last_progress_);
  status.finish_forwarded = break_.is_finish_forwarded();
  status.content = counts_;
  if (source_content_) {
    add_tally(source_content_->tally(), status.content);
    status.pack_way = static_cast<std::uint32_t>(choice_.way());
  }
  return status;
}

}  // namespace drover::mover
