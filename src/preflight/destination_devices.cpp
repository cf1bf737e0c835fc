// SPDX-License-Identifier: Apache-2.0
// Whether what the VM is connected to exists here.
#include <algorithm>

#include <fmt/core.h>

#include "preflight/destination_view.h"
#include "preflight/interface_map.h"
#include "preflight/tpm.h"

namespace drover::preflight {
namespace {

bool contains(const std::vector<std::string>& list, const std::string& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

bool everywhere(const std::string& address) {
  return address == "0.0.0.0" || address == "::" || address == "localhost" || address == "::1" ||
         address.starts_with("127.");
}

// First of all: to plug it in elsewhere.
std::vector<std::string> or_elsewhere(const DestinationView& view, const InterfaceFacts& interface,
                                      std::vector<std::string> fixes) {
  auto all = network_fixes(interface.source, view.host);
  all.insert(all.end(), fixes.begin(), fixes.end());
  return all;
}

// What it is mapped to is not here: said already (check_interface_map).
bool is_mapped_to_nothing(const DestinationView& view, const InterfaceFacts& interface) {
  const auto named = [&](const std::string& from) { return names_interface(from, interface); };
  return std::ranges::any_of(view.proposal.request.interfaces, named, &InterfacePlace::from) &&
         std::ranges::none_of(view.targets, [&](const InterfaceTarget& target) {
           return same_mac(target.from, interface.mac) || target.name == interface.source;
         });
}

void check_bridge(const DestinationView& view, const InterfaceFacts& interface,
                  Findings& findings) {
  if (contains(view.host.networks.bridges, interface.source)) return;
  const auto device = view.devices.find(interface.source);
  const bool there = device != view.devices.end() && device->second;
  if (there && interface.port_type == "openvswitch") return;
  if (there) {
    findings.warning(
        Code::kNetworkUnproven, interface.source,
        fmt::format("{} has a device {}, but it is not a Linux bridge.", view.host.name,
                    interface.source),
        "If it is no switch either, the VM cannot be started there.",
        {fmt::format("On {}: ip -d link show {}", view.host.name, word(interface.source))});
    return;
  }
  findings.blocker(
      Code::kNetworkMissing, interface.source,
      fmt::format("{} has no bridge {}.", view.host.name, interface.source),
      "The VM's network card would have nothing to be plugged into.",
      or_elsewhere(view, interface,
                   {fmt::format("On {}: make a bridge {} with the same network behind it",
                                view.host.name, interface.source),
                    fmt::format("virsh detach-interface {} bridge --mac {}", word(view.name()),
                                interface.mac)}));
}

}  // namespace

void check_host_files(const DestinationView& view, Findings& findings) {
  for (const auto& file : view.live.host_files) {
    const auto readable = view.readable.find(file);
    if (readable == view.readable.end() || readable->second) continue;
    findings.blocker(
        Code::kFileMissing, file, fmt::format("There is no file {} on {}.", file, view.host.name),
        "The VM needs it to start (firmware, kernel or the like).",
        {fmt::format("On {}: install the package it belongs to (firmware: apt install ovmf)",
                     view.host.name),
         fmt::format("Copy the same file to {}.", view.host.name)});
  }
}

// Another state would be what the guest finds there.
void check_tpm_place(const DestinationView& view, Findings& findings) {
  note_told_libvirt(view.host, view.proposal.request, view.proposal.persistent_xml,
                    "If the move is undone,", findings);
  if (view.proposal.request.kind != MoveKind::kOffline || view.tpm_state.empty()) return;
  findings.blocker(Code::kTpmStays, "tpm",
                   fmt::format("{} exists on {} already.", view.tpm_state, view.host.name),
                   "It is what a TPM of this VM held at an earlier stay; Drover never overwrites a "
                   "file.",
                   {fmt::format("If nothing uses it, on {}: mv {} {}", view.host.name,
                                word(view.tpm_state), word(view.tpm_state + ".old"))});
}

void check_tpm_program(const DestinationView& view, Findings& findings) {
  if (view.live.tpm_backend != "emulator" || view.swtpm_there) return;
  findings.blocker(Code::kFileMissing, "swtpm",
                   fmt::format("There is no swtpm on {}.", view.host.name),
                   "It plays the VM's TPM; without it the VM cannot be started there.",
                   {fmt::format("On {}: apt install swtpm", view.host.name)});
}

void check_networks(const DestinationView& view, Findings& findings) {
  for (const auto& interface : view.live.interfaces) {
    if (is_mapped_to_nothing(view, interface)) continue;
    if (interface.type == "bridge") check_bridge(view, interface, findings);
    if (interface.type == "network" &&
        !contains(view.host.networks.active_networks, interface.source)) {
      findings.blocker(
          Code::kNetworkMissing, interface.source,
          fmt::format("{} has no active network {}.", view.host.name, interface.source),
          "The VM's network card would have nothing to be plugged into.",
          or_elsewhere(
              view, interface,
              {fmt::format("On {}: virsh net-start {}", view.host.name, word(interface.source)),
               fmt::format("Define it there as it is here: virsh net-dumpxml {}",
                           word(interface.source))}));
    }
    if (interface.type == "direct") {
      const auto device = view.devices.find(interface.source);
      if (device != view.devices.end() && device->second) continue;
      findings.blocker(
          Code::kNetworkMissing, interface.source,
          fmt::format("{} has no network device {}.", view.host.name, interface.source),
          "The VM's network card sits directly on a device of that name.",
          or_elsewhere(view, interface,
                       {fmt::format("virsh detach-interface {} direct --mac {}", word(view.name()),
                                    interface.mac)}));
    }
  }
}

void check_graphics(const DestinationView& view, Findings& findings) {
  for (const auto& graphics : view.live.graphics) {
    if (!graphics.network.empty() &&
        !contains(view.host.networks.active_networks, graphics.network)) {
      findings.blocker(
          Code::kNetworkMissing, graphics.network,
          fmt::format("{} has no active network {}.", view.host.name, graphics.network),
          fmt::format("The VM's {} display takes its address from it.", graphics.type),
          {fmt::format("On {}: virsh net-start {}", view.host.name, graphics.network)});
    }
    for (const auto& address : graphics.addresses) {
      if (!graphics.network.empty() || everywhere(address) || contains(view.addresses, address))
        continue;
      findings.blocker(
          Code::kGraphicsAddress, graphics.type,
          fmt::format("The {} display listens on {}, which is not an address of {}.", graphics.type,
                      address, view.host.name),
          "QEMU cannot be started there with an address of another host.",
          {fmt::format("With {} off, let it listen on 127.0.0.1 or 0.0.0.0: virsh edit {}",
                       word(view.name()), word(view.name()))});
    }
  }
}

}  // namespace drover::preflight
