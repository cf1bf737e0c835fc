// SPDX-License-Identifier: Apache-2.0
#include "evacuation_text.h"

#include <algorithm>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "display_width.h"
#include "table.h"
#include "time_words.h"

namespace drover::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kAtOnce{1};  // a forecast below is "now"

bool is_return(const Evacuation& job) { return job.request.kind == EvacuationKind::kReturn; }

std::string what_words(const Evacuation& job) {
  return fmt::format("{} {}", is_return(job) ? "Return to" : "Evacuation of", printable(job.host));
}

std::string state_words(EvacuationState state) {
  switch (state) {
    case EvacuationState::kPlanned:
      return "planned";
    case EvacuationState::kRunning:
      return "under way";
    case EvacuationState::kDone:
      return "ended";
    case EvacuationState::kCancelled:
      return "cancelled";
  }
  return "";
}

std::string state_words(EvacueeState state) {
  switch (state) {
    case EvacueeState::kWaits:
      return "waits";
    case EvacueeState::kMoving:
      return "moves";
    case EvacueeState::kMoved:
      return "moved";
    case EvacueeState::kStays:
      return "stays";
  }
  return "";
}

std::string begin_words(const Evacuee& vm) {
  if (!vm.starts_in) return "";
  return *vm.starts_in < kAtOnce ? "at once" : "in " + span_words(*vm.starts_in);
}

std::string reason_text(const Evacuee& vm) {
  std::string out = fmt::format("  {}: {}\n", printable(vm.name), printable(vm.why));
  for (const std::string& fix : vm.fixes) out += fmt::format("      Fix: {}\n", printable(fix));
  return out;
}

// VMs of that state, each with its reason; under a title, if there are any.
std::string reasons_text(const Evacuation& job, std::string_view title) {
  std::string out;
  for (const Evacuee& vm : job.vms) {
    if (vm.state == EvacueeState::kStays) out += reason_text(vm);
  }
  return out.empty() ? "" : fmt::format("\n{}\n{}", title, out);
}

std::string troubles_text(const Evacuation& job) {
  std::string out;
  for (const std::string& trouble : job.troubles) out += fmt::format("  {}\n", printable(trouble));
  return out.empty() ? "" : "\nHosts that could not be asked:\n" + out;
}

milliseconds end_of(const Evacuation& job) {
  milliseconds end{0};
  for (const Evacuee& vm : job.vms) end = std::max(end, vm.ends_in.value_or(milliseconds(0)));
  return end;
}

}  // namespace

std::string timetable_text(const Evacuation& job) {
  Table table({{"VM"},
               {"FROM"},
               {"TO"},
               {"BEGINS"},
               {"TAKES", Table::Align::kRight},
               {"SENDS", Table::Align::kRight},
               {""}},
              "  ");
  std::size_t going = 0;
  for (const Evacuee& vm : job.vms) {
    if (!vm.starts_in || vm.state == EvacueeState::kStays) continue;
    ++going;
    table.add({vm.name, vm.source, vm.destination, begin_words(vm),
               vm.ends_in ? span_words(*vm.ends_in - *vm.starts_in) : "", to_text(vm.bytes),
               vm.why});
  }
  std::string out = fmt::format("{}: {} of {} VMs can {}.\n", what_words(job), going,
                                job.vms.size(), is_return(job) ? "come back" : "leave");
  if (going > 0) {
    out += fmt::format("\n{}\n  All together about {}; a forecast, made anew as it goes on.\n",
                       table.text(), span_words(end_of(job)));
  }
  return out + reasons_text(job, "Cannot move:") + troubles_text(job);
}

std::string evacuation_text(const Evacuation& job) {
  std::string out =
      fmt::format("{}: {}{}, asked by {} at {}\n", what_words(job), state_words(job.state),
                  job.cancel_asked && !job.ended_at ? ", asked to end" : "",
                  printable(job.request.requested_by), moment_words(job.started_at));
  if (job.ended_at)
    out +=
        fmt::format("  {} Ended at {}.\n", printable(job.explanation), moment_words(*job.ended_at));
  if (job.keeps_out) {
    out += fmt::format(
        "  No plan chooses {} as a destination. To bring its VMs back: drover return {}. To let it "
        "take VMs again: drover evacuate {} --cancel.\n",
        printable(job.host), printable(job.host), printable(job.host));
  }
  Table table({{"VM"}, {"STATE"}, {"FROM"}, {"TO"}, {"MOVE"}, {"BEGINS"}, {"WHY"}}, "  ");
  for (const Evacuee& vm : job.vms) {
    const bool waits = vm.state == EvacueeState::kWaits;
    table.add({vm.name, state_words(vm.state), vm.source, vm.destination, vm.move,
               waits ? begin_words(vm) : "", vm.why});
  }
  if (!table.empty()) out += "\n" + table.text();
  return out + troubles_text(job);
}

std::string outcome_text(const Evacuation& job) {
  return printable(job.explanation) + "\n" + reasons_text(job, "Not moved:");
}

std::string choice_text(const std::string& vm, const BestChoice& choice) {
  std::string out;
  for (const HostChoice& host : choice.hosts) {
    if (host.possible) {
      const char* rank = out.empty() ? "best: " : "possible: ";
      out += fmt::format("  {}: {}{}.\n", printable(host.host), rank, printable(host.why));
      continue;
    }
    out += fmt::format("  {}: not possible.\n", printable(host.host));
    for (const Finding& finding : host.obstacles) {
      out += fmt::format("      {}: {}{}{}\n", printable(finding.code), printable(finding.what),
                         finding.why.empty() ? "" : " ", printable(finding.why));
      for (const std::string& fix : finding.fixes)
        out += fmt::format("      Fix: {}\n", printable(fix));
    }
  }
  if (out.empty()) out = "  There is no other host.\n";
  return fmt::format("Where {} can go:\n{}", printable(vm), out);
}

}  // namespace drover::cli
