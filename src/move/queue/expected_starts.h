// SPDX-License-Identifier: Apache-2.0
// When moves that wait for their turn are thought to begin (docs/queue.md). Pure; any thread.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <vector>

#include "model/host.h"
#include "model/move.h"

namespace drover::move {

// What moves took that have arrived, by kind, where a plan has no forecast: the mean.
using TimesTaken = std::map<MoveKind, std::chrono::milliseconds>;
TimesTaken times_taken(const std::vector<Move>& moves);

// Sets queue->expected_at of each of `waiting`, which are in order, by this host's limits alone;
// nothing of one that is held, or where nobody knows how long those before it take.
void expect_starts(std::vector<Move>& waiting, const std::vector<Move>& under_way,
                   const TimesTaken& taken, const HostSettings& settings,
                   std::chrono::system_clock::time_point now);

}  // namespace drover::move
