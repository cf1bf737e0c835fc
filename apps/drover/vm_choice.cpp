// SPDX-License-Identifier: Apache-2.0
#include "vm_choice.h"

#include <algorithm>
#include <cctype>
#include <map>

#include <fmt/ranges.h>
#include <fnmatch.h>

#include "display_width.h"
#include "move_text.h"

namespace drover::cli {
namespace {

bool same_uuid(const std::string& uuid, const std::string& word) {
  return uuid.size() == 36 && std::ranges::equal(uuid, word, {}, {}, [](unsigned char c) {
           return static_cast<char>(std::tolower(c));
         });
}

std::string with_host(const Vm& vm) { return vm.host + "/" + vm.name; }

std::string not_asked(const VmListing& listing) {
  std::vector<std::string> hosts;
  for (const UnreachableHost& host : listing.unreachable) hosts.push_back(printable(host.host));
  if (hosts.empty()) return "drover list shows all VMs.";
  return fmt::format("But {} did not answer: drover host list says why.", fmt::join(hosts, ", "));
}

}  // namespace

Result<Vm> choose_vm(const VmListing& listing, const std::string& word) {
  std::vector<const Vm*> found;
  for (const Vm& vm : listing.vms) {
    if (vm.name == word || with_host(vm) == word || same_uuid(vm.uuid, word)) found.push_back(&vm);
  }
  // A VM under way is on both hosts; the copy that is arriving is not the one to speak of.
  if (found.size() > 1) {
    const auto settled =
        std::ranges::count_if(found, [](const Vm* vm) { return vm->state != VmState::kIncoming; });
    if (settled > 0)
      std::erase_if(found, [](const Vm* vm) { return vm->state == VmState::kIncoming; });
  }
  if (found.empty()) {
    return fail(ErrorCode::kNotFound, "No VM is called {}. {}", printable(word),
                not_asked(listing));
  }
  if (found.size() > 1) {
    std::vector<std::string> choices;
    for (const Vm* vm : found) choices.push_back(printable(shell_word(with_host(*vm))));
    return fail(ErrorCode::kInvalidArgument, "{} VMs are called {}. Fix: say {}.", found.size(),
                printable(word), fmt::join(choices, " or "));
  }
  return *found.front();
}

Result<std::vector<std::string>> matching_names(const VmListing& listing, const std::string& word) {
  const bool is_name = std::ranges::any_of(
      listing.vms, [&](const Vm& vm) { return vm.name == word || with_host(vm) == word; });
  if (is_name || word.find_first_of("*?[") == std::string::npos) return std::vector{word};
  std::vector<std::string> names;
  for (const Vm& vm : listing.vms) {
    if (vm.state != VmState::kRunning && vm.state != VmState::kPaused) continue;
    const bool fits = ::fnmatch(word.c_str(), vm.name.c_str(), 0) == 0 ||
                      ::fnmatch(word.c_str(), with_host(vm).c_str(), 0) == 0;
    if (fits) names.push_back(with_host(vm));
  }
  if (!names.empty()) return names;
  return fail(ErrorCode::kNotFound, "No VM that runs fits {}. {}", printable(word),
              not_asked(listing));
}

bool has_labels(const Vm& vm, const std::vector<std::string>& labels) {
  return std::ranges::all_of(labels, [&](const std::string& label) {
    return std::ranges::find(vm.labels, label) != vm.labels.end();
  });
}

Result<std::vector<std::string>> labelled_names(const VmListing& listing,
                                                const std::vector<std::string>& labels) {
  std::vector<std::string> names;
  for (const Vm& vm : listing.vms) {
    const bool runs = vm.state == VmState::kRunning || vm.state == VmState::kPaused;
    if (runs && has_labels(vm, labels)) names.push_back(with_host(vm));
  }
  if (!names.empty()) return names;
  return fail(ErrorCode::kNotFound, "No VM that runs and could move has {} {}. {}",
              labels.size() == 1 ? "the label" : "all of the labels",
              printable(fmt::format("{}", fmt::join(labels, ", "))), not_asked(listing));
}

std::vector<std::string> unique_names(const VmListing& listing) {
  std::map<std::string, int> uses;
  for (const Vm& vm : listing.vms) uses[vm.name] += vm.state == VmState::kIncoming ? 0 : 1;
  std::vector<std::string> names;
  for (const Vm& vm : listing.vms) {
    if (vm.state == VmState::kIncoming) continue;
    names.push_back(uses[vm.name] == 1 ? vm.name : with_host(vm));
  }
  return names;
}

}  // namespace drover::cli
