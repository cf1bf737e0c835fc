// SPDX-License-Identifier: Apache-2.0
#include "fit_text.h"

#include <algorithm>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "display_width.h"
#include "table.h"
#include "time_words.h"

namespace drover::cli {
namespace {

constexpr std::size_t kFeaturesShown = 12;

std::string list_words(const std::vector<std::string>& words) {
  const std::vector<std::string> shown(
      words.begin(),
      words.begin() + static_cast<std::ptrdiff_t>(std::min(words.size(), kFeaturesShown)));
  std::string text = printable(fmt::format("{}", fmt::join(shown, ", ")));
  if (words.size() > kFeaturesShown)
    text += fmt::format(" and {} more", words.size() - kFeaturesShown);
  return text;
}

std::string hosts_words(const std::vector<std::string>& hosts) {
  return hosts.empty() ? "nowhere" : printable(fmt::format("{}", fmt::join(hosts, ", ")));
}

std::string place_words(const MobilityPlace& place) {
  if (place.possible && place.warnings.empty()) return "yes";
  if (place.possible) {
    return printable(fmt::format("yes, with --accept {}", fmt::join(place.warnings, " --accept ")));
  }
  if (!place.text.empty()) return printable(place.text);
  std::vector<std::string> codes;
  for (const Finding& finding : place.blockers) {
    if (std::ranges::find(codes, finding.code) == codes.end()) codes.push_back(finding.code);
  }
  return printable(fmt::format("no: {}", fmt::join(codes, ", ")));
}

std::string state_of(const VmMobility& vm) {
  return vm.move_id.empty() ? std::string(vm_state_words(vm.state)) : "moving";
}

std::string change_text(const VmMobility& vm) {
  if (!vm.change) return "";
  std::string out =
      fmt::format("{} could go to {} too, if this were not: {}\n", printable(vm.vm_name),
                  hosts_words(vm.change->hosts), printable(vm.change->finding.what));
  for (const auto& fix : vm.change->finding.fixes)
    out += fmt::format("      Fix: {}\n", printable(fix));
  if (vm.change->finding.appliable && !vm.change->hosts.empty()) {
    out += fmt::format("      Drover can: drover plan {} {} --fix {}\n", printable(vm.vm_name),
                       printable(vm.change->hosts.front()), printable(vm.change->finding.code));
  }
  return out;
}

}  // namespace

std::string cpu_text(const CpuCompat& found) {
  std::string out = fmt::format(
      "{}: on {} a guest can have the CPU model {}{}.\n", printable(found.vm_name),
      hosts_words(found.hosts), printable(found.model),
      found.features.empty() ? "" : fmt::format(" with {}", list_words(found.features)));
  if (!found.lost.empty()) {
    out += fmt::format("  It would do without what {} alone could give: {}.\n",
                       printable(found.hosts.empty() ? "" : found.hosts.front()),
                       list_words(found.lost));
  }
  out += fmt::format("  Its definition asks for {} now.\n",
                     found.now.empty() ? "no model at all" : printable(found.now));
  if (found.as_it_is) return out + "  That is the same: nothing is to be done.\n";
  if (found.fix.empty()) return out + "  Nothing was changed.\n";
  out += fmt::format("  Written. {}\n",
                     found.running ? "It gets it when it is shut down and started again; a restart "
                                     "within the guest is not enough."
                                   : "It gets it when it is started.");
  return out + fmt::format("  To take it back: drover fixes undo {}\n", printable(found.fix));
}

std::string mobility_text(const Mobility& mobility, bool detailed) {
  std::string out;
  if (mobility.vms.empty()) out += "No VMs.\n";
  if (!detailed && !mobility.vms.empty()) {
    Table table({{"VM"}, {"HOST"}, {"STATE"}, {"CAN GO TO"}});
    for (const auto& vm : mobility.vms)
      table.add({vm.vm_name, vm.host, state_of(vm), hosts_words(vm.hosts_now)});
    out += table.text();
  }
  for (const auto& vm : mobility.vms) {
    if (detailed) {
      out +=
          fmt::format("{} on {}, {}:\n", printable(vm.vm_name), printable(vm.host), state_of(vm));
      Table table({{"HOST"}, {"HOW"}, {"NOW"}}, "  ");
      for (const auto& place : vm.places) {
        table.add({place.host, std::string(move_kind_name(place.kind)), place_words(place)});
      }
      out += table.empty() ? "  Nobody was asked: it is moving, or no host is paired.\n"
                           : table.text();
    }
    out += change_text(vm);
  }
  for (const auto& host : mobility.unreachable) {
    out +=
        fmt::format("{} was not asked: {}\n", printable(host.host), printable(host.error.message));
  }
  return out;
}

std::string fixes_text(const std::vector<AppliedFix>& fixes) {
  if (fixes.empty()) return "No fix was applied.\n";
  Table table({{"FIX"}, {"CODE"}, {"WHEN"}, {"BY"}, {"WHAT"}});
  for (const auto& fix : fixes) {
    table.add({fix.id, fix.code, moment_words(fix.applied_at), fix.requested_by,
               fix.undone_at ? "(undone) " + fix.done : fix.done});
  }
  return table.text();
}

std::string applied_text(const AppliedFix& fix) {
  return fmt::format("{}: {}\n  To take it back: drover fixes undo {}\n", printable(fix.code),
                     printable(fix.done), printable(fix.id));
}

}  // namespace drover::cli
