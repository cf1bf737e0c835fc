// SPDX-License-Identifier: Apache-2.0
// Forecasts moves that were made before once more, each from what was measured for it then and from
// those before it, and holds that against what came: what a change of src/forecast is worth.
// Usage: forecast_replay FILE, written by bench/forecast --rows: a Move (openapi.yaml) a line.
#include <cmath>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "forecast/predict.h"
#include "json/model_json.h"

namespace drover::forecast {
namespace {

constexpr double kGoodDuration = 0.25;  // of what it took, as bench/forecast has it
constexpr double kGoodPause = 2;        // times

double seconds(std::chrono::milliseconds span) {
  return std::chrono::duration<double>(span).count();
}

bool is_good_pause(const StrategyForecast& made, const Move& move) {
  const double actual = move.state == MoveState::kDone && move.report && move.report->pause
                            ? seconds(*move.report->pause)
                            : 0;
  const double said = seconds(made.pause);
  if (said == 0 || actual == 0) return said == actual;
  return said / actual <= kGoodPause && actual / said <= kGoodPause;
}

// The newest first, as learn() wants them.
std::vector<Move> before(const std::vector<Move>& moves, std::size_t number) {
  std::vector<Move> found;
  for (std::size_t i = number; i-- > 0;) {
    if (moves[i].source == moves[number].source && moves[i].state == MoveState::kDone)
      found.push_back(moves[i]);
  }
  return found;
}

int replay(const std::vector<Move>& moves) {
  int good_durations = 0, good_pauses = 0, good = 0;
  for (std::size_t i = 0; i < moves.size(); ++i) {
    const Move& move = moves[i];
    const auto worked = time_worked(move);
    if (!worked || !move.plan.forecast) continue;
    const Scene scene = scene_of(move.plan, move.convergence);
    const auto history = before(moves, i);
    const Forecast forecast = make_forecast(scene, move.destination, move.plan.vm.uuid, history);
    const StrategyForecast& made = forecast.strategies.front();
    const Parts parts = parts_of(scene, learn(scene, move.destination, move.plan.vm.uuid, history));
    const bool duration =
        std::abs(seconds(made.likely) - seconds(*worked)) <= kGoodDuration * seconds(*worked);
    const bool pause = is_good_pause(made, move);
    good_durations += duration ? 1 : 0;
    good_pauses += pause ? 1 : 0;
    good += duration && pause ? 1 : 0;
    std::printf("%2zu %-20s %-8s %6.2f s %6.2f s %-4s %5.0f ms %5.0f ms %-4s", i + 1,
                move.plan.vm.name.c_str(), made.strategy.c_str(), seconds(made.likely),
                seconds(*worked), duration ? "good" : "OFF", seconds(made.pause) * 1000,
                move.report && move.report->pause ? seconds(*move.report->pause) * 1000 : 0,
                pause ? "good" : "OFF");
    std::printf("  disks %.2f memory %.2f pause %.2f proof %.2f rest %.2f; from %u moves\n",
                parts.disks, parts.memory, parts.pause, parts.proof, parts.rest,
                forecast.learnt_from);
  }
  std::printf("Of %zu: durations %d, pauses %d, both %d.\n", moves.size(), good_durations,
              good_pauses, good);
  return 0;
}

int main_of(const char* path) {
  std::ifstream file(path);
  std::vector<Move> moves;
  for (std::string line; std::getline(file, line);) {
    auto move = json::move_from_json(line, json::Unknown::kIgnore);
    if (!move) {
      std::fprintf(stderr, "%s: line %zu: %s\n", path, moves.size() + 1,
                   move.error().text().c_str());
      return 2;
    }
    moves.push_back(std::move(*move));
  }
  return replay(moves);
}

}  // namespace
}  // namespace drover::forecast

int main(int argc, char** argv) {
  if (argc == 2) return drover::forecast::main_of(argv[1]);
  std::fprintf(stderr, "Usage: forecast_replay FILE\n");
  return 2;
}
