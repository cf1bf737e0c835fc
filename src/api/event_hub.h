// SPDX-License-Identifier: Apache-2.0
// News for server-sent event streams. droverd publishes, each open stream is a Subscriber.
// Publishing never blocks: a slow stream loses older progress of a move, never its newest state.
// Any thread may call any function. The hub outlives its subscribers.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/deadline.h"
#include "model/move.h"

namespace drover::api {

struct Event {
  std::string name;     // of the SSE: "progress", "phase", "state", "vm", "host"
  std::string subject;  // move id, VM's UUID, host name
  std::string body;     // JSON
  bool last = false;    // the move has ended: a stream of this move ends after it
};

class Subscriber;

class EventHub {
 public:
  enum class MoveNews { kProgress, kPhase, kState };

  // REQUIRES: what Backend::move() answers is at least as new already.
  void publish_move(MoveNews news, const Move& move);
  // `change` is one word: "defined", "undefined", "started", "stopped", "suspended", "resumed",
  // "other".
  void publish_vm(std::string_view uuid, std::string_view name, std::string_view change);
  // "added", "waiting", "approved", "removed", "changed".
  void publish_host(std::string_view name, std::string_view change);
  // Ends all waits; later ones end at once.
  void close();

 private:
  friend class Subscriber;
  void publish(const Event& event);

  std::mutex mutex_;  // guards all below; taken before Subscriber::mutex_
  std::set<Subscriber*> subscribers_;
  bool closed_ = false;
};

class Subscriber {
 public:
  // `subject` narrows to one move; empty: everything.
  Subscriber(EventHub& hub, std::string subject);
  ~Subscriber();
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;

  // Nothing: the deadline passed, or the hub was closed.
  std::optional<Event> next(Deadline deadline);
  bool closed() const;

 private:
  friend class EventHub;
  void offer(const Event& event);

  EventHub& hub_;
  const std::string subject_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::deque<Event> waiting_;
  bool closed_ = false;
};

}  // namespace drover::api
