// SPDX-License-Identifier: Apache-2.0
// Forecasts of moves, and what came of them, in words for people. Pure functions; any thread.
#pragma once

#include <string>
#include <vector>

#include "model/move.h"

namespace drover::cli {

// Lines for a plan: the move's own strategy, what it is made from, and what else the VM could take.
// Empty: there is no forecast.
std::string forecast_text(const Plan& plan);

// "8 to 12 s, a pause of 200 ms, 660 MiB on the wire"; empty: there was none.
std::string forecast_words(const Plan& plan);

// Finished moves with what was forecast of each beside what came. Moves of before there were
// forecasts are left out.
std::string comparison_text(const std::vector<Move>& moves);

}  // namespace drover::cli
