// SPDX-License-Identifier: Apache-2.0
// For tests and the bench: two sessions in one process, links made of socket pairs that can be cut,
// and the far ends of local sockets in place of libvirt and QEMU. One thread, but cut() and link()
// from any.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include <sys/socket.h>

#include "base/deadline.h"
#include "mover/session.h"
#include "net/unix_socket.h"

namespace drover::mover {

// Counts and keeps what a session tells; any thread.
class ToldEvents {
 public:
  SessionEvents events() {
    SessionEvents events;
    events.link_up = [this](std::uint32_t) { add(links_up_); };
    events.link_lost = [this](std::uint32_t, const Error& error) {
      const std::lock_guard lock(mutex_);
      losses_.push_back(error);
      changed_.notify_all();
    };
    events.ended = [this](SessionEnd how, const Error& why) {
      const std::lock_guard lock(mutex_);
      end_ = how;
      why_ = why;
      changed_.notify_all();
    };
    return events;
  }
  bool wait_links_up(int count, Deadline deadline) {
    return wait(deadline, [&] { return links_up_ >= count; });
  }
  std::optional<Error> wait_loss(Deadline deadline) {
    wait(deadline, [&] { return !losses_.empty(); });
    const std::lock_guard lock(mutex_);
    return losses_.empty() ? std::nullopt : std::optional(losses_.back());
  }
  std::optional<SessionEnd> wait_end(Deadline deadline) {
    wait(deadline, [&] { return end_.has_value(); });
    const std::lock_guard lock(mutex_);
    return end_;
  }
  Error why() {
    const std::lock_guard lock(mutex_);
    return why_;
  }
  int links_up() {
    const std::lock_guard lock(mutex_);
    return links_up_;
  }

 private:
  template <typename Ready>
  bool wait(Deadline deadline, Ready ready) {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, deadline.at(), ready);
  }
  void add(int& count) {
    const std::lock_guard lock(mutex_);
    ++count;
    changed_.notify_all();
  }

  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  int links_up_ = 0;
  std::vector<Error> losses_;
  std::optional<SessionEnd> end_;
  Error why_;
};

inline std::unique_ptr<PskKey> key_of(std::uint8_t fill) {
  std::array<std::uint8_t, PskKey::kBytes> bytes;
  bytes.fill(fill);
  return std::make_unique<PskKey>(bytes);
}

class SessionPair {
 public:
  static Deadline limit() { return Deadline::after(std::chrono::seconds(60)); }

  struct Settings {
    std::uint32_t window_bytes = 16u << 20;
    std::chrono::milliseconds patience{60'000};
    std::chrono::milliseconds pause_budget{60'000};
    bool content = true;
    std::optional<std::size_t> fixed_way = {};
    std::uint64_t bandwidth_bytes_per_second = 0;
    content::DestinationLimits destination_limits = {};
    std::shared_ptr<content::DiskReader> disks = {};    // the destination's
    std::shared_ptr<HeldFiles> held = {};               // likewise
    std::shared_ptr<content::WriteRecord> writes = {};  // likewise
    std::uint8_t destination_key = 7;
    std::string destination_identity = "drover-move test aa bb";
  };

  SessionPair() : SessionPair(Settings{}) {}
  explicit SessionPair(const Settings& settings) {
    SessionOptions options;
    options.role = Role::kSource;
    options.identity = "drover-move test aa bb";
    options.window_bytes = settings.window_bytes;
    options.patience = settings.patience;
    options.pause_budget = settings.pause_budget;
    options.content = settings.content;
    options.fixed_way = settings.fixed_way;
    options.bandwidth_bytes_per_second = settings.bandwidth_bytes_per_second;
    options.destination_limits = settings.destination_limits;
    source = std::make_unique<Session>(options, key_of(7), source_told.events(), nullptr);
    options.role = Role::kDestination;
    options.identity = settings.destination_identity;
    options.held = settings.held;
    destination = std::make_unique<Session>(
        options, key_of(settings.destination_key), destination_told.events(),
        [this](StreamKind kind, StreamId) { return open_far(kind); }, settings.disks,
        settings.writes);
    auto near = *net::socket_pair(net::SocketKind::kStream);
    auto far = *net::socket_pair(net::SocketKind::kStream);
    source->start_rpc(std::move(near.first));
    destination->start_rpc(std::move(far.first));
    source_rpc = std::move(near.second);
    destination_rpc = std::move(far.second);
  }

  // Adds a link to both sides.
  void link(std::uint32_t number) {
    auto pair = *net::socket_pair(net::SocketKind::kStream);
    UniqueFd handle = pair.first.duplicate();
    // Told to the source last: it speaks first.
    static_cast<void>(destination->add_link(number, std::move(pair.second)));
    static_cast<void>(source->add_link(number, std::move(pair.first)));
    const std::lock_guard lock(mutex_);
    handles_[number] = std::move(handle);
  }
  void cut(std::uint32_t number) {
    const std::lock_guard lock(mutex_);
    if (handles_[number]) ::shutdown(handles_[number].get(), SHUT_RDWR);
  }

  struct Ends {
    UniqueFd source;
    UniqueFd destination;
  };
  // A stream with both far ends. REQUIRES: a link is up or comes.
  std::optional<Ends> open(StreamKind kind) {
    auto near = *net::socket_pair(net::SocketKind::kStream);
    if (!source->open_stream(kind, std::move(near.first))) return {};
    std::unique_lock lock(mutex_);
    if (!changed_.wait_until(lock, limit().at(), [&] { return !far_ends_.empty(); })) return {};
    Ends ends{std::move(near.second), std::move(far_ends_.front())};
    far_ends_.pop_front();
    return ends;
  }
  // From now on the destination's "gate" says no.
  void refuse_streams() {
    const std::lock_guard lock(mutex_);
    refuses_ = true;
  }

 private:
  Result<UniqueFd> open_far(StreamKind) {
    auto pair = *net::socket_pair(net::SocketKind::kStream);
    const std::lock_guard lock(mutex_);
    if (refuses_) return fail(ErrorCode::kNotFound, "QEMU does not listen.");
    far_ends_.push_back(std::move(pair.second));
    changed_.notify_all();
    return std::move(pair.first);
  }

  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::map<std::uint32_t, UniqueFd> handles_;  // to cut links
  std::deque<UniqueFd> far_ends_;
  bool refuses_ = false;

 public:
  // Last: their threads use all above.
  ToldEvents source_told;
  ToldEvents destination_told;
  UniqueFd source_rpc;
  UniqueFd destination_rpc;
  std::unique_ptr<Session> source;
  std::unique_ptr<Session> destination;
};

}  // namespace drover::mover
