// SPDX-License-Identifier: Apache-2.0
#include "move/queue/slots.h"

#include <algorithm>

namespace drover::move {
namespace {

constexpr std::size_t kTurnsMax = 1024;  // a peer may ask for many moves

bool counted_together(Slots::Way one, Slots::Way other) {
  return (one == Slots::Way::kStorage) == (other == Slots::Way::kStorage);
}

}  // namespace

bool Slots::take(Way way, std::string_view move, MoveLimit limit) {
  return enter(way, move, limit, Deadline::never());
}

bool Slots::lease(Way way, std::string_view move, MoveLimit limit) {
  return enter(way, move, limit, Deadline::after(kLease));
}

bool Slots::enter(Way way, std::string_view move, MoveLimit limit, Deadline until) {
  const std::lock_guard lock(mutex_);
  expire();
  const Key key{way, std::string(move)};
  if (places_.contains(key)) return true;
  const auto mine = turns_.find(key);
  const auto before = static_cast<std::size_t>(std::ranges::count_if(turns_, [&](const auto& turn) {
    return counted_together(turn.first.first, way) &&
           (mine == turns_.end() || turn.second.number < mine->second.number);
  }));
  if (has_room(way, before, limit)) {
    turns_.erase(key);
    places_.emplace(key, until);
    return true;
  }
  if (mine != turns_.end()) {
    mine->second.until = Deadline::after(kTurn);
  } else if (turns_.size() < kTurnsMax) {
    turns_[key] = {++last_, Deadline::after(kTurn)};
  }
  return false;
}

bool Slots::has_room(Way way, std::size_t before, MoveLimit limit) const {
  const AutoLimit& found = way == Way::kStorage ? within_host_ : between_hosts_;
  if (limit.unlimited()) return true;
  return count(way) + before < (limit.automatic ? found.allowed() : limit.count);
}

void Slots::measured(AutoLimit::Time now, const HostLoad& load) {
  const std::lock_guard lock(mutex_);
  expire();
  between_hosts_.look(now, count(Way::kOut),
                      {load.busy_ticks, load.idle_ticks, load.network_bytes});
  within_host_.look(now, count(Way::kStorage), {load.busy_ticks, load.idle_ticks, load.disk_bytes});
}

void Slots::keep(Way way, std::string_view move) {
  const std::lock_guard lock(mutex_);
  const Key key{way, std::string(move)};
  turns_.erase(key);
  places_.insert_or_assign(key, Deadline::never());
}

void Slots::give_back(Way way, std::string_view move) {
  const std::lock_guard lock(mutex_);
  const Key key{way, std::string(move)};
  places_.erase(key);
  turns_.erase(key);
}

std::size_t Slots::used(Way way) {
  const std::lock_guard lock(mutex_);
  expire();
  return count(way);
}

std::size_t Slots::count(Way way) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      places_, [&](const auto& place) { return counted_together(place.first.first, way); }));
}

Slots::Way way_of(MoveKind kind) {
  return kind == MoveKind::kStorage ? Slots::Way::kStorage : Slots::Way::kOut;
}

MoveLimit limit_of(Slots::Way way, const HostSettings& settings) {
  return way == Slots::Way::kStorage ? settings.storage_moves : settings.live_moves;
}

std::string full_text(std::string_view host, std::size_t used, const HostSettings& settings,
                      Slots::Way way) {
  const MoveLimit limit = limit_of(way, settings);
  if (!limit.automatic && used < limit.count)
    return fmt::format("{} is about to begin another move.", host);
  const bool storage = way == Slots::Way::kStorage;
  return fmt::format("{} works on {} {}move{}; its {} is {}{}.", host, used,
                     storage ? "storage " : "", used == 1 ? "" : "s",
                     storage ? "storage-moves" : "live-moves", move_limit_text(limit),
                     limit.automatic ? ": another begins once link and processors have room" : "");
}

void Slots::expire() {
  std::erase_if(places_, [](const auto& place) { return place.second.expired(); });
  std::erase_if(turns_, [](const auto& turn) { return turn.second.until.expired(); });
}

}  // namespace drover::move
