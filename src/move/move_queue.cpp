// SPDX-License-Identifier: Apache-2.0
#include "move/move_queue.h"

#include <algorithm>
#include <tuple>

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kFailedWait = 10s;
constexpr unsigned kRefusedLeastMs = 500, kRefusedSpreadMs = 1000;

}  // namespace

void put_in_order(std::vector<Waiting>& waiting) {
  std::ranges::sort(waiting, {}, [](const Waiting& move) {
    return std::tuple(-move.place.priority, move.place.since, std::string_view(move.id));
  });
}

bool QueuePacing::may_ask(std::string_view destination, Time now) const {
  const auto pause = pauses_.find(destination);
  return pause == pauses_.end() || pause->second.until <= now;
}

void QueuePacing::refused(std::string_view destination, Time now, unsigned chance) {
  const std::chrono::milliseconds span(kRefusedLeastMs + chance % kRefusedSpreadMs);
  pauses_[std::string(destination)] = {now + span, true};
}

void QueuePacing::failed(std::string_view destination, Time now) {
  pauses_[std::string(destination)] = {now + kFailedWait, false};
}

void QueuePacing::granted(std::string_view destination) { pauses_.erase(std::string(destination)); }

bool QueuePacing::is_full(std::string_view destination) const {
  const auto pause = pauses_.find(destination);
  return pause != pauses_.end() && pause->second.full;
}

void QueuePacing::passed(const std::vector<std::string>& in_front) {
  for (const std::string& id : in_front) ++passed_[id];
}

bool QueuePacing::is_kept_for(std::string_view id) const {
  const auto times = passed_.find(id);
  return times != passed_.end() && times->second >= kPassedMost;
}

void QueuePacing::forget_others(const std::vector<Waiting>& waiting) {
  const auto waits = [&](const auto& item) {
    return std::ranges::find(waiting, item.first, &Waiting::id) != waiting.end();
  };
  std::erase_if(passed_, [&](const auto& item) { return !waits(item); });
}

}  // namespace drover::move
