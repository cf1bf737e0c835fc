// SPDX-License-Identifier: Apache-2.0
#include "move/queue/move_queue.h"

#include <algorithm>
#include <tuple>

#include "move/queue/window_times.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kFailedWait = 10s;
constexpr unsigned kRefusedLeastMs = 500, kRefusedSpreadMs = 1000;

}  // namespace

Status check_begin(const MoveRequest& request, std::chrono::system_clock::time_point now) {
  constexpr std::chrono::hours kMost{24 * 366};
  constexpr std::chrono::minutes kJustNow{1};  // the asker's clock may be a little behind
  if (!request.begin_at || (*request.begin_at > now - kJustNow && *request.begin_at < now + kMost))
    return {};
  return fail(ErrorCode::kInvalidArgument,
              "A move can begin now or within a year, not at {}. Without a time it begins when its "
              "turn comes.",
              local_time_text(*request.begin_at));
}

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
