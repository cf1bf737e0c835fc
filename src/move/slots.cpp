// SPDX-License-Identifier: Apache-2.0
#include "move/slots.h"

#include <algorithm>

namespace drover::move {
namespace {

constexpr std::size_t kTurnsMax = 1024;  // a peer may ask for many moves

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
    return mine == turns_.end() || turn.second.number < mine->second.number;
  }));
  if (limit.unlimited() || places_.size() + before < limit.count) {
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

std::size_t Slots::used() {
  const std::lock_guard lock(mutex_);
  expire();
  return places_.size();
}

std::string full_text(std::string_view host, std::size_t used, const HostSettings& settings) {
  if (used < settings.live_moves.count)
    return fmt::format("{} is about to begin another move.", host);
  return fmt::format("{} works on {} move{}; its live-moves is {}.", host, used,
                     used == 1 ? "" : "s", move_limit_text(settings.live_moves));
}

void Slots::expire() {
  std::erase_if(places_, [](const auto& place) { return place.second.expired(); });
  std::erase_if(turns_, [](const auto& turn) { return turn.second.until.expired(); });
}

}  // namespace drover::move
