// SPDX-License-Identifier: Apache-2.0
#include "after_text.h"

#include <fmt/core.h>

#include "display_width.h"
#include "progress_text.h"
#include "table.h"
#include "time_words.h"

namespace drover::cli {

std::string attempts_text(const Move& move) {
  if (move.attempts.empty()) return "";
  Table table({{"ATTEMPT", Table::Align::kRight}, {"FAILED"}, {"IN"}, {"BECAUSE"}}, "  ");
  std::size_t number = 0;
  for (const Attempt& attempt : move.attempts) {
    table.add({fmt::format("{}", ++number), moment_words(attempt.ended_at), attempt.phase,
               attempt.error.text()});
  }
  return table.text();
}

std::string resolution_text(const Move& move) {
  if (!move.resolution) return "";
  return fmt::format(
      "  {} said at {} that it runs on {}{}.\n", printable(move.resolution->by),
      moment_words(move.resolution->at), printable(move.resolution->runs_on),
      move.resolution->peer_is_lost ? " and that " + printable(move.destination) + " is lost" : "");
}

std::string health_text(const Move& move) {
  if (!move.health) return "";
  const Health& health = *move.health;
  std::string out;
  switch (health.state) {
    case Health::State::kWatching:
      out = fmt::format("  It is watched there until {}{}\n", moment_words(health.until),
                        health.findings.empty() ? "." : ", and something is wrong:");
      break;
    case Health::State::kWell:
      out = "  What answered before the switch answers there.\n";
      break;
    case Health::State::kIll:
      out = "  Something is wrong with it there; its old disks are kept until you drop them:\n";
      break;
    case Health::State::kUnknown:
      out = "  How it does there is not known.\n";
      break;
  }
  if (!health.text.empty()) out += "  " + printable(health.text) + "\n";
  for (const Finding& finding : health.findings) out += warning_text(finding);
  return out;
}

}  // namespace drover::cli
