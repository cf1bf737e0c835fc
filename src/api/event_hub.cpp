// SPDX-License-Identifier: Apache-2.0
#include "api/event_hub.h"

#include <algorithm>

#include "json/access_json.h"

namespace drover::api {
namespace {

// Per stream. With progress of a move replaced by its newer one, this is many moves' worth of news.
constexpr std::size_t kWaitingMax = 256;

std::string_view event_name(EventHub::MoveNews news) {
  if (news == EventHub::MoveNews::kProgress) return "progress";
  return news == EventHub::MoveNews::kPhase ? "phase" : "state";
}

}  // namespace

void EventHub::publish(const Event& event) {
  const std::lock_guard lock(mutex_);
  for (Subscriber* subscriber : subscribers_) subscriber->offer(event);
}

void EventHub::publish_move(MoveNews news, const Move& move) {
  {
    const std::lock_guard lock(mutex_);
    if (subscribers_.empty()) return;  // nobody listens: do not even write the JSON
  }
  publish({std::string(event_name(news)), move.id, json::to_json(move),
           move.state != MoveState::kRunning});
}

void EventHub::publish_vm(std::string_view uuid, std::string_view name, std::string_view change) {
  publish({"vm", std::string(uuid),
           json::dump({{"uuid", uuid}, {"name", name}, {"change", change}}), false});
}

void EventHub::publish_host(std::string_view name, std::string_view change) {
  publish({"host", std::string(name), json::dump({{"name", name}, {"change", change}}), false});
}

void EventHub::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (Subscriber* subscriber : subscribers_) {
    const std::lock_guard inner(subscriber->mutex_);
    subscriber->closed_ = true;
    subscriber->changed_.notify_all();
  }
}

Subscriber::Subscriber(EventHub& hub, std::string subject)
    : hub_(hub), subject_(std::move(subject)) {
  const std::lock_guard lock(hub_.mutex_);
  hub_.subscribers_.insert(this);
  closed_ = hub_.closed_;
}

Subscriber::~Subscriber() {
  const std::lock_guard lock(hub_.mutex_);
  hub_.subscribers_.erase(this);
}

void Subscriber::offer(const Event& event) {
  if (!subject_.empty() && event.subject != subject_) return;
  const std::lock_guard lock(mutex_);
  // Newer progress replaces what was not read yet; so does any newer word of the same kind on the
  // same subject when the bound is reached.
  const auto same = [&](const Event& other) {
    return other.name == event.name && other.subject == event.subject;
  };
  if (event.name == "progress" || waiting_.size() >= kWaitingMax) {
    const auto found = std::ranges::find_if(waiting_, same);
    if (found != waiting_.end()) waiting_.erase(found);
  }
  if (waiting_.size() >= kWaitingMax) waiting_.pop_front();
  waiting_.push_back(event);
  changed_.notify_one();
}

std::optional<Event> Subscriber::next(Deadline deadline) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline.at(), [&] { return closed_ || !waiting_.empty(); });
  if (closed_ || waiting_.empty()) return std::nullopt;
  Event event = std::move(waiting_.front());
  waiting_.pop_front();
  return event;
}

bool Subscriber::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

}  // namespace drover::api
