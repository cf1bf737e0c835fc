// SPDX-License-Identifier: Apache-2.0
#include "plan_text.h"

#include <algorithm>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "display_width.h"
#include "forecast_text.h"
#include "storage_text.h"
#include "table.h"

namespace drover::cli {
namespace {

std::string afterwards(const Plan& plan) {
  const std::string source = printable(plan.vm.host.empty() ? plan.request.source : plan.vm.host);
  switch (plan.request.disposal) {
    case SourceDisposal::kQuarantine:
      return fmt::format(
          "{} keeps the old disks for a while ({}); drover quarantine list shows them.", source,
          to_text(plan.quarantine_bytes));
    case SourceDisposal::kDeleteNow:
      return fmt::format("{} deletes the old disks as soon as the VM runs at the destination.",
                         source);
    case SourceDisposal::kKeepSource:
      return fmt::format("{} keeps the old disks ({}) until somebody drops them.", source,
                         to_text(plan.quarantine_bytes));
  }
  return "";
}

// How it goes, where that is not live.
std::string kind_line(const Plan& plan) {
  if (plan.kind == MoveKind::kOffline && plan.vm.saved)
    return "It is off, and its memory is kept: definition, disks and memory move (offline).";
  if (plan.kind == MoveKind::kOffline)
    return "It is off: its definition and disks move (offline), and it stays off.";
  if (plan.kind == MoveKind::kQuick) {
    return "It is saved, carried and restored there (quick): it stands still from the saving to "
           "its "
           "restart.";
  }
  return "";
}

// What the proof costs, or that there is none (docs/proof.md).
std::string proof_line(const Plan& plan) {
  if (plan.request.verification == Verification::kNone)
    return "Nothing is compared before the old disks are let go.";
  const char* arrives = plan.kind == MoveKind::kOffline ? "is" : "runs";
  ByteCount read;
  for (const DiskPlacement& disk : plan.placements) {
    if (!disk.shared) read += disk.allocated;
  }
  if (plan.request.verification == Verification::kReadBack) {
    return fmt::format(
        "Once it {} there, {} of the old disks are read and compared with what was sent and "
        "with the new disks, which are read whole; for that it stands still a moment longer.",
        arrives, to_text(read));
  }
  return fmt::format(
      "Once it {} there, {} of the old disks are read and compared with what was "
      "sent.",
      arrives, to_text(read));
}

std::string place_words(const DiskPlacement& disk) {
  const std::string path =
      disk.destination_path == disk.source_path ? "the same path" : disk.destination_path;
  return disk.shared ? path + " (shared, stays)" : path;
}

std::string place_words(const FilePlacement& file) {
  const std::string path =
      file.destination_path == file.source_path ? "the same path" : file.destination_path;
  if (file.shared) return path + " (shared, stays)";
  return file.present ? path + " (there already)" : path;
}

std::string title(const Plan& plan) {
  const Vm& vm = plan.vm;
  return fmt::format("{}: {} to {} ({}, {} of memory, {} CPU{})\n", printable(vm.name),
                     printable(vm.host.empty() ? plan.request.source : vm.host),
                     printable(plan.request.destination), vm_state_words(vm.state),
                     to_text(vm.memory), vm.vcpus, vm.vcpus == 1 ? "" : "s");
}

bool is_copied(const DiskPlacement& disk) { return !disk.shared; }

std::string way(const Plan& plan) {
  std::vector<std::string> parts;
  for (const NetworkPair& pair : plan.networks) {
    const std::string to = printable(pair.destination_address);
    parts.push_back(pair.network == kAnyNetwork ? to : fmt::format("{} in {}", to, pair.network));
  }
  return fmt::format("It goes to {}.", fmt::join(parts, " and "));
}

std::string one_level(const std::vector<Finding>& findings, FindingLevel level,
                      std::string_view title) {
  std::string out;
  for (const Finding& finding : findings) {
    if (finding.level != level) continue;
    if (out.empty()) out = fmt::format("\n{}\n", title);
    out += fmt::format("  {}: {}\n", printable(finding.code), printable(finding.what));
    if (!finding.why.empty()) out += fmt::format("      {}\n", printable(finding.why));
    for (const std::string& fix : finding.fixes)
      out += fmt::format("      Fix: {}\n", printable(fix));
    if (finding.appliable)
      out += fmt::format("      Drover can: the same command with --fix {}\n",
                         printable(finding.code));
  }
  return out;
}

// What was asked for; a source's own policy is that of every move, and no news.
std::string outrun_words(const Convergence& convergence) {
  using enum ConvergencePolicy;
  const auto seconds = convergence.limit.count();
  switch (convergence.policy) {
    case kWait:
      return "If it outruns the link, the move goes on until it does less.";
    case kSlowGuest:
      return "If it outruns the link, QEMU slows it. libvirt takes that only at the start of a "
             "move.";
    case kPause:
      return fmt::format("If it outruns the link, it may stand still for {} s at the switch.",
                         seconds);
    case kGiveUp:
      return fmt::format("If it outruns the link for {} s, the move is given up.", seconds);
  }
  return "";
}

// "qcow2"; of an image that becomes another "qcow2 to raw, full".
std::string format_words(const Plan& plan, const DiskPlacement& disk) {
  const auto now = std::ranges::find(plan.vm.disks, disk.target, &Disk::target);
  std::string words = disk.format;
  if (now != plan.vm.disks.end() && !now->format.empty() && now->format != disk.format)
    words = fmt::format("{} to {}", now->format, disk.format);
  if (disk.allocation) words.append(", ").append(allocation_name(*disk.allocation));
  return words;
}

}  // namespace

std::string findings_text(const std::vector<Finding>& findings) {
  return one_level(findings, FindingLevel::kBlocker,
                   "Blockers (nothing moves until these are gone):") +
         one_level(findings, FindingLevel::kWarning, "Warnings (each has to be accepted):") +
         one_level(findings, FindingLevel::kNote, "Notes:");
}

std::string plan_text(const Plan& plan) {
  const Vm& vm = plan.vm;
  std::string out = is_storage(plan) ? storage_title(plan) : title(plan);
  Table disks({{"DISK"},
               {"FROM"},
               {"TO"},
               {"FORMAT"},
               {"SIZE", Table::Align::kRight},
               {"IN USE", Table::Align::kRight}},
              "  ");
  const auto add_file = [&](const std::string& item, const FilePlacement& file) {
    disks.add({item, file.source_path, place_words(file), file.format, to_text(file.virtual_size),
               to_text(file.allocated)});
  };
  for (const DiskPlacement& disk : plan.placements) {
    disks.add({disk.target, disk.source_path, place_words(disk), format_words(plan, disk),
               to_text(disk.virtual_size), to_text(disk.allocated)});
    for (const FilePlacement& file : plan.files) {
      if (file.item == disk.target) add_file("  on", file);
    }
  }
  // Of no disk: checkpoints' memory, and discs.
  for (const FilePlacement& file : plan.files) {
    if (std::ranges::find(plan.placements, file.item, &DiskPlacement::target) ==
        plan.placements.end())
      add_file(file.item, file);
  }
  if (!plan.nvram_destination.empty()) {
    disks.add({"nvram", vm.nvram_path,
               plan.nvram_destination == vm.nvram_path ? "the same path" : plan.nvram_destination,
               "", "", ""});
  }
  if (!disks.empty()) out += "\n" + disks.text();
  if (plan.forecast) {
    out += "\n" + forecast_text(plan) + "\n";
  } else if (plan.bytes_expected.bytes > 0) {
    out += fmt::format("\n  About {} to copy, and what changes meanwhile.\n",
                       to_text(plan.bytes_expected));
  }
  if (const std::string kind = kind_line(plan); !kind.empty()) out += fmt::format("  {}\n", kind);
  if (!plan.networks.empty()) out += fmt::format("  {}\n", way(plan));
  if (is_storage(plan) && !plan.placements.empty()) {
    out += fmt::format("  {}\n", storage_afterwards(plan));
  } else if (std::ranges::any_of(plan.placements, is_copied)) {
    out += fmt::format("  {}\n  {}\n", proof_line(plan), afterwards(plan));
  }
  if (plan.request.convergence)
    out += fmt::format("  {}\n", outrun_words(*plan.request.convergence));
  return out + findings_text(plan.findings);
}

}  // namespace drover::cli
