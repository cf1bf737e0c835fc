// SPDX-License-Identifier: Apache-2.0
#include "move_text.h"

#include <cctype>
#include <string_view>
#include <vector>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "after_text.h"
#include "display_width.h"
#include "exit_code.h"
#include "forecast_text.h"
#include "progress_text.h"
#include "storage_text.h"
#include "table.h"
#include "time_words.h"

namespace drover::cli {
namespace {

std::string until_words(const QuarantinedDisk& disk) {
  return disk.until ? "until " + moment_words(*disk.until) : "until dropped";
}

std::string runner_words(const Move& move) {
  switch (move.runner) {
    case Runner::kSource:
      return printable(move.source);
    case Runner::kDestination:
      return printable(move.destination);
    case Runner::kUnknown:
      return "not known yet; start it nowhere";
  }
  return "";
}

std::string indented(const std::string& text) {
  std::string out = "  ";
  for (std::size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    if (text[i] == '\n' && i + 1 < text.size()) out += "  ";
  }
  return out;
}

// Only what there was.
std::string kinds_words(const TransferKinds& kinds) {
  std::vector<std::string> parts;
  const auto add = [&](ByteCount size, std::string_view what) {
    if (size.bytes > 0) parts.push_back(fmt::format("{} {}", to_text(size), what));
  };
  add(kinds.zero, "of zeroes");
  add(kinds.same, "sent before and unchanged");
  add(kinds.cached, "known from memory");
  add(kinds.own_disk, "known from its disks");
  add(kinds.residue, "left there by an earlier move, or on a shared disk");
  add(kinds.group, "known from VMs of its group");
  return fmt::format("{}", fmt::join(parts, ", "));
}

void add_kinds(Table& facts, const TransferKinds& kinds) {
  const std::string saved = kinds_words(kinds);
  if (!saved.empty()) facts.add({"not sent", saved});
  if (kinds.packed.bytes > 0) {
    facts.add({"packed",
               fmt::format(
                   "{} as {}{}", to_text(kinds.packed), to_text(kinds.wire),
                   kinds.misses == 0 ? "" : fmt::format("; {} ranges sent twice", kinds.misses))});
  }
}

std::string passes_text(const std::vector<MemoryPass>& passes) {
  if (passes.empty()) return "";
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"MEMORY PASS", kRight},
               {"TOOK", kRight},
               {"SENT", kRight},
               {"PAGES", kRight},
               {"AGAIN", kRight},
               {"UNCHANGED", kRight},
               {"GUEST CHANGES", kRight}},
              "  ");
  for (const MemoryPass& pass : passes) {
    table.add({fmt::format("{}", pass.number), span_words(pass.duration), to_text(pass.sent),
               fmt::format("{}", pass.pages), fmt::format("{}", pass.resent_pages),
               fmt::format("{}", pass.unchanged_pages),
               pass.dirtied.value == 0 ? "" : to_text(pass.dirtied)});
  }
  return table.text();
}

std::string excluded_words(const Proof& proof) {
  if (proof.excluded.bytes == 0) return "";
  const double share = 100.0 * static_cast<double>(proof.excluded.bytes) /
                       static_cast<double>(proof.excluded.bytes + proof.compared.bytes);
  return fmt::format("; {} ({:.2g} %) left out, which it wrote since", to_text(proof.excluded),
                     share);
}

std::string proof_words(const Proof& proof) {
  if (proof.level == Verification::kNone) return "not asked for";
  if (!proof.difference.empty()) return "not equal: " + printable(proof.difference);
  if (proof.compared.bytes + proof.excluded.bytes + proof.unproven.bytes == 0)
    return "no disk was sent, so none is compared";
  const bool read_back = proof.level == Verification::kReadBack;
  std::string words =
      fmt::format("{} of the disks compared as {}, all equal ({})", to_text(proof.compared),
                  read_back ? "read back" : "sent", span_words(proof.duration));
  words += excluded_words(proof);
  if (proof.unproven.bytes > 0) words += fmt::format("; {} not proven", to_text(proof.unproven));
  if (!proof.text.empty()) words += ": " + printable(proof.text);
  return words;
}

std::string causes_text(const Move& move) {
  std::string out;
  if (!move.explanation.empty()) out += indented(printable(move.explanation)) + "\n";
  if (move.error) out += indented(error_text(*move.error));
  return out;
}

std::string done_text(const Move& move, const std::vector<QuarantinedDisk>& kept) {
  const std::string vm = printable(move.plan.vm.name);
  const bool off = move.plan.kind == MoveKind::kOffline;
  std::string out =
      fmt::format("{} {} {}.\n", vm, off ? "is, off, on" : "runs on", printable(move.destination));
  Table facts({{""}, {""}}, "  ");
  if (move.report) {
    const Report& report = *move.report;
    facts.add(
        {"sent", fmt::format("{} on the wire (memory {}, disks {})", to_text(report.bytes_on_wire),
                             to_text(report.memory_sent), to_text(report.disks_sent))});
    if (report.kinds) add_kinds(facts, *report.kinds);
    for (const NetworkTraffic& traffic : report.networks)
      if (report.networks.size() > 1) facts.add({"over " + traffic.network, to_text(traffic.wire)});
    facts.add({"took", span_words(report.duration)});
    if (move.plan.forecast) facts.add({"forecast", forecast_words(move.plan)});
    if (move.plan.kind != MoveKind::kOffline)
      facts.add({"pause", report.pause ? span_words(*report.pause) : "not measured"});
    if (report.proof) facts.add({"proof", proof_words(*report.proof)});
  }
  for (const std::string& passed : move.plan.request.passed) facts.add({"passed over", passed});
  for (const DiskPlacement& disk : move.plan.placements) {
    if (disk.shared) facts.add({"shared", disk.target + " stays where it is: " + disk.source_path});
  }
  for (const QuarantinedDisk& disk : kept) {
    if (disk.move_id != move.id) continue;
    facts.add({"kept", fmt::format("{} on {} ({}), {}",
                                   disk.kept_path.empty() ? "its memory" : disk.kept_path,
                                   move.source, to_text(disk.allocated), until_words(disk))});
  }
  facts.add({"undo", fmt::format("drover move {} {}", shell_word(move.plan.vm.name),
                                 shell_word(move.source))});
  return out + facts.text() + health_text(move);
}

}  // namespace

std::string shell_word(const std::string& word) {
  bool plain = !word.empty();
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    plain = plain && (std::isalnum(byte) != 0 || byte >= 0x80 ||
                      std::string_view("-_./:@=+,").find(c) != std::string_view::npos);
  }
  if (plain) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string report_text(const Move& move, const std::vector<QuarantinedDisk>& kept) {
  const std::string vm = printable(move.plan.vm.name);
  std::string out;
  if (is_storage(move.plan)) {
    out = storage_report(move, kept);
    if (move.state == MoveState::kRunning) return out;
    return out + causes_text(move);
  }
  switch (move.state) {
    case MoveState::kDone:
      out = done_text(move, kept);
      break;
    case MoveState::kRunning:
      return fmt::format("{} is moving from {} to {}: {} %, {}.\n", vm, printable(move.source),
                         printable(move.destination), move.progress.percent, phase_words(move));
    case MoveState::kFailed:
      out = fmt::format("{} did not move; it is on {} as before.\n", vm, printable(move.source));
      break;
    case MoveState::kCancelled:
      out = fmt::format("The move of {} was cancelled; it is on {} as before.\n", vm,
                        printable(move.source));
      break;
    case MoveState::kParked:
      out = fmt::format("The move of {} needs a person. It runs on: {}.\n", vm, runner_words(move));
      break;
    case MoveState::kRehearsed:
      out = fmt::format("The move of {} to {} was rehearsed; it is on {} as before.\n", vm,
                        printable(move.destination), printable(move.source));
      break;
  }
  return out + causes_text(move);
}

std::string show_text(const Move& move, const std::vector<QuarantinedDisk>& kept) {
  std::string out =
      fmt::format("Move {}: {} from {} to {}\n", printable(move.id), printable(move.plan.vm.name),
                  printable(move.source), destination_words(move));
  Table facts({{""}, {""}}, "  ");
  if (move.plan.kind != MoveKind::kLive)
    facts.add({"kind", std::string(move_kind_name(move.plan.kind))});
  facts.add({"state", state_words(move.state) + (move.cancel_asked ? ", asked to cancel" : "")});
  facts.add({"runs on", runner_words(move)});
  facts.add({"asked by", move.plan.request.requested_by});
  if (!is_storage(move.plan)) facts.add({"convergence", convergence_text(move.convergence)});
  if (move.queue) facts.add({"priority", fmt::format("{}", move.queue->priority)});
  facts.add({"started", moment_words(move.started_at)});
  if (move.ended_at) facts.add({"ended", moment_words(*move.ended_at)});
  out += facts.text();
  Table phases({{"PHASE"}, {"STARTED"}, {"TOOK", Table::Align::kRight}}, "  ");
  for (const PhaseTimes& times : move.phases) {
    const auto took = [&] {
      return span_words(std::chrono::duration_cast<std::chrono::milliseconds>(*times.ended_at -
                                                                              times.started_at));
    };
    phases.add({phase_words(times.phase), moment_words(times.started_at),
                times.ended_at ? took() : "under way"});
  }
  if (!phases.empty()) out += "\n" + phases.text();
  if (const std::string attempts = attempts_text(move); !attempts.empty()) out += "\n" + attempts;
  if (move.resolution) out += "\n" + resolution_text(move);
  const auto& seen = move.report ? move.report->passes : move.progress.passes;
  if (const std::string passes = passes_text(seen); !passes.empty()) out += "\n" + passes;
  out += "\n";
  if (move.state != MoveState::kRunning) return out + report_text(move, kept);
  out += progress_log_line(move) + "\n";
  if (move.progress.warning) out += warning_text(*move.progress.warning);
  // A doubt about who runs the VM, and which copy must not be started.
  if (!move.explanation.empty()) out += indented(printable(move.explanation)) + "\n";
  return out;
}

std::string moves_text(const std::vector<Move>& moves) {
  if (moves.empty()) return "No moves yet.\n";
  Table table({{"MOVE"},
               {"VM"},
               {"FROM"},
               {"TO"},
               {"STATE"},
               {"PHASE"},
               {"DONE", Table::Align::kRight},
               {"STARTED"},
               {"ASKED BY"}});
  for (const Move& move : moves) {
    table.add({move.id, move.plan.vm.name, move.source, destination_words(move),
               state_words(move.state), move.state == MoveState::kDone ? "" : phase_words(move),
               fmt::format("{} %", move.progress.percent), moment_words(move.started_at),
               move.plan.request.requested_by});
  }
  return table.text();
}

std::string queue_text(const std::vector<Move>& moves) {
  if (moves.empty()) return "No moves wait.\n";
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"POSITION", kRight},
               {"MOVE"},
               {"VM"},
               {"FROM"},
               {"TO"},
               {"PRIORITY", kRight},
               {"SINCE"},
               {"EXPECTED"},
               {"ASKED BY"},
               {"WAITS FOR"}});
  for (const Move& move : moves) {
    const QueuePlace place = move.queue.value_or(QueuePlace{});
    table.add({fmt::format("{}", place.position), move.id, move.plan.vm.name, move.source,
               destination_words(move), fmt::format("{}", place.priority),
               moment_words(place.since),
               place.expected_at ? moment_words(*place.expected_at) : std::string(),
               move.plan.request.requested_by, place.waits_for});
  }
  return table.text();
}

std::string quarantine_text(const std::vector<QuarantinedDisk>& disks) {
  if (disks.empty()) return "No disks are kept.\n";
  Table table({{"MOVE"}, {"VM"}, {"FILE"}, {"WAS"}, {"IN USE", Table::Align::kRight}, {"KEPT"}});
  for (const QuarantinedDisk& disk : disks) {
    table.add({disk.move_id, disk.vm_name, disk.kept_path.empty() ? "encrypted" : disk.kept_path,
               disk.original_path, to_text(disk.allocated), until_words(disk)});
  }
  return table.text();
}

}  // namespace drover::cli
