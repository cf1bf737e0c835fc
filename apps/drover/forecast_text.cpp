// SPDX-License-Identifier: Apache-2.0
#include "forecast_text.h"

#include <optional>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "display_width.h"
#include "forecast/experience.h"
#include "table.h"
#include "time_words.h"

namespace drover::cli {
namespace {

constexpr auto kRight = Table::Align::kRight;

const StrategyForecast* own(const Plan& plan) {
  return plan.forecast && !plan.forecast->strategies.empty() ? &plan.forecast->strategies.front()
                                                             : nullptr;
}

std::string range_words(const StrategyForecast& made) {
  return fmt::format("{} to {}", span_words(made.least), span_words(made.most));
}

std::string pause_words(const StrategyForecast& made) {
  return made.pause.count() == 0 ? "none" : span_words(made.pause);
}

// Only what is known.
std::string basis_words(const Forecast& made) {
  std::vector<std::string> parts;
  const auto add = [&](bool known, std::string words) {
    if (known) parts.push_back(std::move(words));
  };
  add(made.memory.bytes > 0, fmt::format("{} of memory in use", to_text(made.memory)));
  const BytesPerSecond changed = made.dirty_rate.value_or(BytesPerSecond{});
  const bool again = changed.value > 0 && made.dirty_set.bytes > 0;
  add(changed.value > 0, fmt::format("{} of it changed", to_text(changed)));
  add(again, fmt::format("the same {} again and again", to_text(made.dirty_set)));
  add(made.disks.bytes > 0, fmt::format("{} of disks", to_text(made.disks)));
  add(made.spared.bytes > 0, fmt::format("{} of that there already", to_text(made.spared)));
  add(made.link_rate.value > 0, fmt::format("a link of {}", to_text(made.link_rate)));
  add(made.read_rate.value > 0, fmt::format("disks read at {}", to_text(made.read_rate)));
  add(made.write_rate.value > 0, fmt::format("written at {}", to_text(made.write_rate)));
  add(made.learnt_from > 0,
      fmt::format("{} earlier move{}", made.learnt_from, made.learnt_from == 1 ? "" : "s"));
  return parts.empty() ? "" : fmt::format("From {}.", fmt::join(parts, ", "));
}

std::string chance_words(const StrategyForecast& made) {
  if (made.converges_percent >= 90) return "";
  return fmt::format(
      " The chance that its memory can be copied so is {} %: see drover move --convergence.",
      made.converges_percent);
}

std::string percent_off(std::chrono::milliseconds forecast, std::chrono::milliseconds came) {
  if (came.count() == 0) return "";
  const double off = 100.0 * static_cast<double>(forecast.count() - came.count()) /
                     static_cast<double>(came.count());
  return fmt::format("{:+.0f} %", off);
}

}  // namespace

std::string forecast_words(const Plan& plan) {
  const StrategyForecast* made = own(plan);
  if (made == nullptr) return "";
  std::string words = range_words(*made);
  if (made->pause.count() > 0) words += ", a pause of " + span_words(made->pause);
  if (made->wire.bytes > 0) words += ", " + to_text(made->wire) + " on the wire";
  return words;
}

std::string forecast_text(const Plan& plan) {
  const StrategyForecast* made = own(plan);
  if (made == nullptr) return "";
  std::string out =
      fmt::format("  It will take {}.{}\n", forecast_words(plan), chance_words(*made));
  if (const std::string basis = basis_words(*plan.forecast); !basis.empty())
    out += fmt::format("  {}\n", basis);
  for (const std::string& note : plan.forecast->notes)
    out += fmt::format("  {}\n", printable(note));
  if (plan.forecast->strategies.size() < 2) return out;
  Table table(
      {{"STRATEGY"}, {"TIME", kRight}, {"PAUSE", kRight}, {"WIRE", kRight}, {"CONVERGES", kRight}},
      "  ");
  for (const StrategyForecast& one : plan.forecast->strategies) {
    table.add({one.strategy, range_words(one), pause_words(one), to_text(one.wire),
               fmt::format("{} %", one.converges_percent)});
  }
  return out + "\n" + table.text();
}

std::string comparison_text(const std::vector<Move>& moves) {
  Table table({{"MOVE"},
               {"VM"},
               {"STRATEGY"},
               {"FORECAST", kRight},
               {"TOOK", kRight},
               {"OFF", kRight},
               {"PAUSE FORECAST", kRight},
               {"PAUSE", kRight},
               {"WIRE FORECAST", kRight},
               {"WIRE", kRight}});
  for (const Move& move : moves) {
    const StrategyForecast* made = own(move.plan);
    const auto took = forecast::time_worked(move);
    if (made == nullptr || !took || move.state != MoveState::kDone) continue;
    const auto pause = move.report ? move.report->pause : std::nullopt;
    table.add({move.id, move.plan.vm.name, made->strategy, span_words(made->likely),
               span_words(*took), percent_off(made->likely, *took), pause_words(*made),
               pause ? span_words(*pause) : "not measured", to_text(made->wire),
               move.report ? to_text(move.report->bytes_on_wire) : ""});
  }
  if (table.empty()) return "No move that had a forecast has ended yet.\n";
  return table.text();
}

}  // namespace drover::cli
