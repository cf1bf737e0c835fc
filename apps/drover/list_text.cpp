// SPDX-License-Identifier: Apache-2.0
#include "list_text.h"

#include <map>
#include <vector>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "display_width.h"
#include "exit_code.h"
#include "json/access_json.h"
#include "plan_text.h"
#include "table.h"

namespace drover::cli {
namespace {

std::string disk_words(const Vm& vm) {
  ByteCount used;
  std::size_t count = 0;
  for (const Disk& disk : vm.disks) {
    if (disk.device != DiskDevice::kDisk && disk.device != DiskDevice::kLun) continue;
    ++count;
    used += disk.allocated;
  }
  return count == 0 ? "none" : fmt::format("{} ({})", count, to_text(used));
}

}  // namespace

std::string list_text(const VmListing& listing) {
  if (listing.vms.empty()) return "No VMs.\n";
  Table table({{"VM"}, {"HOST"}, {"STATE"}, {"MEMORY", Table::Align::kRight}, {"DISKS"}, {"MOVE"}});
  for (const Vm& vm : listing.vms) {
    table.add({vm.name, vm.host, std::string(vm_state_words(vm.state)), to_text(vm.memory),
               disk_words(vm), vm.move_id});
  }
  return table.text();
}

std::string list_troubles(const VmListing& listing) {
  std::string out;
  for (const UnreachableHost& host : listing.unreachable) {
    out += fmt::format("{}: {}", printable(host.host), error_text(host.error));
  }
  for (const Vm& vm : listing.vms) {
    if (!vm.remark.empty())
      out += fmt::format("{} on {}: {}\n", printable(vm.name), printable(vm.host),
                         printable(vm.remark));
  }
  for (const SessionVm& vm : listing.sessions) {
    out +=
        fmt::format("{} on {} is a VM of {}'s own session (qemu:///session): it is not managed.\n",
                    printable(vm.name), printable(vm.host), printable(vm.user));
  }
  std::map<std::string, std::vector<std::string>> runners;
  std::map<std::string, std::string> names;
  for (const Vm& vm : listing.vms) {
    if (vm.state != VmState::kRunning) continue;
    runners[vm.uuid].push_back(printable(vm.host));
    names[vm.uuid] = printable(vm.name);
  }
  for (const auto& [uuid, hosts] : runners) {
    if (hosts.size() < 2) continue;
    out += fmt::format(
        "WARNING: {} ({}) runs on {} at once. Their disks are drifting apart. Fix: find out which "
        "one is right and stop the others with virsh destroy.\n",
        names[uuid], uuid, fmt::join(hosts, " and "));
  }
  return out;
}

std::string listing_json(const VmListing& listing) { return json::dump(json::encode(listing)); }

Status keep_host(VmListing& listing, const std::string& host) {
  for (const UnreachableHost& other : listing.unreachable) {
    if (other.host == host) return std::unexpected(other.error);
  }
  std::erase_if(listing.vms, [&](const Vm& vm) { return vm.host != host; });
  std::erase_if(listing.sessions, [&](const SessionVm& vm) { return vm.host != host; });
  listing.unreachable.clear();
  return {};
}

}  // namespace drover::cli
