// SPDX-License-Identifier: Apache-2.0
#include "move/queue/expected_starts.h"

#include <algorithm>

#include "forecast/queue_times.h"

namespace drover::move {
namespace {

using std::chrono::milliseconds;
using Time = std::chrono::system_clock::time_point;

// Storage moves have places of their own.
bool is_within_host(const Move& move) { return move.plan.kind == MoveKind::kStorage; }

std::optional<milliseconds> length_of(const Move& move, const TimesTaken& taken) {
  const auto& forecast = move.plan.forecast;
  if (forecast && !forecast->strategies.empty()) return forecast->strategies.front().likely;
  const auto known = taken.find(move.plan.kind);
  if (known == taken.end()) return std::nullopt;
  return known->second;
}

std::optional<milliseconds> left_of(const Move& move, const TimesTaken& taken, Time now) {
  const Progress& progress = move.progress;
  if (progress.left_least && progress.left_most)
    return (*progress.left_least + *progress.left_most) / 2;
  const auto length = length_of(move, taken);
  if (!length) return std::nullopt;
  const Time began = move.phases.empty() ? now : move.phases.front().started_at;
  const auto gone = std::chrono::duration_cast<milliseconds>(now - began);
  return std::max(milliseconds(0), *length - gone);
}

void expect(std::vector<Move*>& waiting, const std::vector<std::optional<milliseconds>>& under_way,
            const TimesTaken& taken, MoveLimit limit, Time now) {
  std::vector<std::optional<milliseconds>> lengths;
  for (const Move* move : waiting) lengths.push_back(length_of(*move, taken));
  const auto starts = forecast::starts_in(under_way, lengths, limit.count);
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    if (!starts[i]) continue;
    QueuePlace& place = *waiting[i]->queue;
    place.expected_at = now + *starts[i];
    for (const auto& earliest : {place.not_before, waiting[i]->plan.request.begin_at}) {
      if (earliest && *earliest > *place.expected_at) place.expected_at = earliest;
    }
  }
}

}  // namespace

TimesTaken times_taken(const std::vector<Move>& moves) {
  std::map<MoveKind, std::pair<milliseconds, int>> sums;
  for (const Move& move : moves) {
    if (move.state != MoveState::kDone || !move.report || move.plan.request.window) continue;
    auto& [sum, count] = sums[move.plan.kind];
    sum += move.report->duration;
    ++count;
  }
  TimesTaken taken;
  for (const auto& [kind, sum] : sums) taken[kind] = sum.first / sum.second;
  return taken;
}

void expect_starts(std::vector<Move>& waiting, const std::vector<Move>& under_way,
                   const TimesTaken& taken, const HostSettings& settings, Time now) {
  for (const bool within : {false, true}) {
    std::vector<Move*> these;
    std::vector<std::optional<milliseconds>> left;
    for (Move& move : waiting) {
      if (is_within_host(move) == within && move.queue && !move.queue->held) these.push_back(&move);
    }
    for (const Move& move : under_way) {
      if (is_within_host(move) == within) left.push_back(left_of(move, taken, now));
    }
    expect(these, left, taken, within ? settings.storage_moves : settings.live_moves, now);
  }
}

}  // namespace drover::move
