// SPDX-License-Identifier: Apache-2.0
#include "storage_text.h"

#include <filesystem>

#include <fmt/core.h>

#include "display_width.h"
#include "forecast_text.h"
#include "move_text.h"
#include "plan_text.h"
#include "progress_text.h"
#include "table.h"
#include "time_words.h"

namespace drover::cli {
namespace {

std::string host_of(const Plan& plan) {
  return printable(plan.vm.host.empty() ? plan.request.source : plan.vm.host);
}

// The way back is another storage move.
std::string way_back(const Plan& plan) {
  std::string words = "drover move " + shell_word(plan.vm.name);
  for (const DiskPlacement& disk : plan.placements) {
    const auto folder = std::filesystem::path(disk.source_path).parent_path().string();
    words += fmt::format(" --item {}", shell_word(disk.target + "=" + folder));
  }
  return words;
}

std::string done_text(const Move& move, const std::vector<QuarantinedDisk>& kept) {
  std::string out =
      fmt::format("The disks of {} lie in their new place.\n", printable(move.plan.vm.name));
  Table facts({{""}, {""}}, "  ");
  for (const DiskPlacement& disk : move.plan.placements)
    facts.add({disk.target, disk.destination_path});
  if (move.report) {
    facts.add({"written", to_text(move.report->disks_sent)});
    facts.add({"took", span_words(move.report->duration)});
    if (move.plan.forecast) facts.add({"forecast", forecast_words(move.plan)});
  }
  for (const QuarantinedDisk& disk : kept) {
    if (disk.move_id != move.id) continue;
    facts.add(
        {"kept", fmt::format("{} ({}), {}", disk.kept_path, to_text(disk.allocated),
                             disk.until ? "until " + moment_words(*disk.until) : "until dropped")});
  }
  facts.add({"undo", way_back(move.plan)});
  return out + facts.text();
}

}  // namespace

bool is_storage(const Plan& plan) { return plan.kind == MoveKind::kStorage; }

std::string storage_title(const Plan& plan) {
  return fmt::format("{} on {}: disks to another place ({})\n", printable(plan.vm.name),
                     host_of(plan), vm_state_words(plan.vm.state));
}

std::string storage_afterwards(const Plan& plan) {
  const std::string size = to_text(plan.quarantine_bytes);
  switch (plan.request.disposal) {
    case SourceDisposal::kQuarantine:
      return fmt::format(
          "The old images are kept for a while ({}); drover quarantine list shows them.", size);
    case SourceDisposal::kDeleteNow:
      return "The old images are deleted as soon as the new ones are in use.";
    case SourceDisposal::kKeepSource:
      return fmt::format("The old images ({}) are kept until somebody drops them.", size);
  }
  return "";
}

std::string storage_report(const Move& move, const std::vector<QuarantinedDisk>& kept) {
  const std::string vm = printable(move.plan.vm.name);
  switch (move.state) {
    case MoveState::kDone:
      return done_text(move, kept);
    case MoveState::kRunning:
      return fmt::format("The disks of {} are moving on {}: {} %, {}.\n", vm,
                         printable(move.source), move.progress.percent, phase_words(move));
    case MoveState::kFailed:
      return fmt::format("The disks of {} did not move.\n", vm);
    case MoveState::kCancelled:
      return fmt::format("The move of the disks of {} was cancelled.\n", vm);
    case MoveState::kParked:
      return fmt::format("The move of the disks of {} needs a person.\n", vm);
    case MoveState::kRehearsed:
      return fmt::format("The move of the disks of {} was rehearsed.\n", vm);
  }
  return "";
}

std::string destination_words(const Move& move) {
  return is_storage(move.plan) ? "other storage" : printable(move.destination);
}

}  // namespace drover::cli
