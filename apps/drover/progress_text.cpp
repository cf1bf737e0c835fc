// SPDX-License-Identifier: Apache-2.0
#include "progress_text.h"

#include <fmt/core.h>

#include "display_width.h"
#include "time_words.h"

namespace drover::cli {
namespace {

// "1.2 of 4.0 GiB": the unit once where both have the same.
std::string part_of(ByteCount done, ByteCount total) {
  std::string low = to_text(done);
  const std::string high = to_text(total);
  const auto low_unit = low.find(' ');
  if (low.substr(low_unit) == high.substr(high.find(' '))) low.resize(low_unit);
  return fmt::format("{} of {}", low, high);
}

// While nothing is copied any more, a rate would only be the fading memory of one.
bool copies(Phase phase) { return phase == Phase::kCopyDisks || phase == Phase::kCopyMemory; }

std::string transfer_words(std::string_view what, const TransferProgress& transfer, Phase phase) {
  if (transfer.total.bytes == 0 && transfer.done.bytes == 0) return "";
  std::string out = fmt::format("{} {}", what, part_of(transfer.done, transfer.total));
  if (transfer.rate.value > 0 && copies(phase)) out += fmt::format(", {}", to_text(transfer.rate));
  if (transfer.redirtied.bytes > 0) out += fmt::format(", {} again", to_text(transfer.redirtied));
  return out;
}

std::string facts(const Move& move, std::string_view separator) {
  const Progress& progress = move.progress;
  std::string out = fmt::format("{:>3} %{}{}", progress.percent, separator,
                                move.cancel_asked ? "being cancelled" : phase_words(move));
  for (const std::string& words :
       {transfer_words("disks", progress.disks, move.phase),
        transfer_words("memory", progress.memory, move.phase),
        copies(move.phase) ? left_words(progress.left_least, progress.left_most) : ""}) {
    if (!words.empty()) out += std::string(separator) + words;
  }
  return out;
}

}  // namespace

std::string progress_line(const Move& move, std::size_t columns) {
  return cut(printable(move.plan.vm.name) + " " + facts(move, "  "), columns);
}

std::string progress_log_line(const Move& move) {
  return fmt::format("{}: {}; {} so far", printable(move.plan.vm.name), facts(move, "; "),
                     span_words(move.progress.elapsed));
}

std::string warning_text(const Finding& warning) {
  std::string out =
      fmt::format("{}: {}\n  {}\n", warning.level == FindingLevel::kNote ? "Note" : "Warning",
                  printable(warning.what), printable(warning.why));
  if (!warning.fixes.empty()) out += "  Choices:\n";
  for (const std::string& fix : warning.fixes) out += fmt::format("    {}\n", printable(fix));
  return out;
}

std::string phase_words(Phase phase) {
  switch (phase) {
    case Phase::kPlan:
      return "planning";
    case Phase::kAdmit:
      return "waiting for its turn";
    case Phase::kReserve:
      return "reserving room";
    case Phase::kPrepare:
      return "preparing";
    case Phase::kCopyDisks:
      return "copying disks";
    case Phase::kCopyMemory:
      return "copying memory";
    case Phase::kSwitch:
      return "switching over";
    case Phase::kVerify:
      return "verifying";
    case Phase::kSettle:
      return "settling";
  }
  return "";
}

std::string phase_words(const Move& move) {
  if (!move.queue) return phase_words(move.phase);
  std::string words = move.queue->held ? "held" : "waiting for its turn";
  if (move.queue->position > 0) words += fmt::format(", position {}", move.queue->position);
  if (!move.queue->waits_for.empty()) words += ": " + printable(move.queue->waits_for);
  return words;
}

std::string state_words(MoveState state) {
  switch (state) {
    case MoveState::kRunning:
      return "moving";
    case MoveState::kDone:
      return "done";
    case MoveState::kFailed:
      return "failed";
    case MoveState::kCancelled:
      return "cancelled";
    case MoveState::kParked:
      return "needs a person";
    case MoveState::kRehearsed:
      return "rehearsed";
  }
  return "";
}

}  // namespace drover::cli
