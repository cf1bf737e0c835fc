// SPDX-License-Identifier: Apache-2.0
// Whether the guest finds its network here: what interfaces are mapped to, the subnet of its
// addresses, the size of packets, and who else has its MAC.
#include <algorithm>

#include <fmt/core.h>

#include "base/ip_network.h"
#include "preflight/destination_view.h"
#include "preflight/interface_map.h"

namespace drover::preflight {
namespace {

// The bridge that an interface is plugged into on a host; empty: none that is known.
std::string bridge_of(const InterfaceFacts& interface, const HostFacts& host) {
  if (interface.type == "bridge") return interface.source;
  if (interface.type != "network") return {};
  const auto link = std::ranges::find(host.networks.links, interface.source, &LinkFacts::network);
  return link == host.networks.links.end() ? std::string() : link->name;
}

bool holds(const HostAddress& here, const std::string& address) {
  const auto network = IpNetwork::around(here.address, here.prefix_bits);
  return network && network->contains(address);
}

bool same_family(const std::string& a, const std::string& b) {
  return a.contains(':') == b.contains(':');
}

const LinkFacts* link_of(const HostFacts& host, const std::string& name) {
  const auto link = std::ranges::find(host.networks.links, name, &LinkFacts::name);
  return name.empty() || link == host.networks.links.end() ? nullptr : &*link;
}

const InterfaceFacts* of_mac(const std::vector<InterfaceFacts>& interfaces,
                             const std::string& mac) {
  const auto found = std::ranges::find_if(
      interfaces, [&](const InterfaceFacts& one) { return same_mac(one.mac, mac); });
  return found == interfaces.end() ? nullptr : &*found;
}

struct Evidence {
  bool has_family = false;   // the bridge has an address of this kind, so it shows its subnets
  bool right = false;        // and one of its subnets holds the guest's address
  std::string other_bridge;  // that has an address in the guest's subnet
};

Evidence look_for(const std::string& address, const std::string& bridge, const HostFacts& host) {
  Evidence seen;
  for (const auto& here : host.networks.addresses) {
    if (!same_family(here.address, address)) continue;
    const bool in = holds(here, address);
    const bool is_bridge =
        std::ranges::find(host.networks.bridges, here.device) != host.networks.bridges.end();
    if (here.device == bridge) {
      seen.has_family = true;
      seen.right = seen.right || in;
    } else if (in && is_bridge && seen.other_bridge.empty()) {
      seen.other_bridge = here.device;
    }
  }
  return seen;
}

struct Stranger {
  std::string address;  // empty: none
  Evidence seen;
};

// The first address of the card that does not show here. A card may also carry VLANs and bridges of
// the guest: if one of its addresses is right, the others are taken to be such.
Stranger find_stranger(const std::string& mac, const std::string& bridge,
                       const DestinationView& view) {
  Stranger found;
  for (const auto& guest : view.proposal.guest_addresses) {
    if (!same_mac(guest.mac, mac)) continue;
    const Evidence seen = look_for(guest.address, bridge, view.host);
    if (seen.right) return {};
    if (found.address.empty() && (seen.has_family || !seen.other_bridge.empty()))
      found = {guest.address, seen};
  }
  return found;
}

// What the device is called in --network.
std::string place_name(const HostFacts& host, const std::string& device) {
  const LinkFacts* link = link_of(host, device);
  return link != nullptr && !link->network.empty() ? link->network : device;
}

}  // namespace

void check_interface_map(const DestinationView& view, Findings& findings) {
  (void)find_interface_targets(view.proposal.request.interfaces, view.host, findings);
}

// Only what shows: a bridge without an address of its own says nothing of what is behind it.
void check_guest_subnets(const DestinationView& view, Findings& findings) {
  for (const auto& interface : view.live.interfaces) {
    const std::string bridge = bridge_of(interface, view.host);
    if (bridge.empty()) continue;
    const Stranger stranger = find_stranger(interface.mac, bridge, view);
    if (stranger.address.empty()) continue;
    std::vector<std::string> fixes;
    if (const std::string& other = stranger.seen.other_bridge; !other.empty()) {
      fixes.push_back(fmt::format("--network {}={}: {} has an address in its subnet there",
                                  interface.mac, word(place_name(view.host, other)), other));
    } else {
      fixes = network_fixes(interface.mac, view.host);
    }
    fixes.push_back("Accept it if the subnet is there all the same: --accept GUEST_SUBNET_ABSENT");
    findings.warning(
        Code::kGuestSubnetAbsent, interface.mac,
        fmt::format("{} has the address {}, and {} on {} does not show its subnet.", view.name(),
                    stranger.address, interface.source, view.host.name),
        "The guest keeps its address at the switch; in another subnet nobody reaches it.",
        std::move(fixes));
  }
}

void check_mtu(const DestinationView& view, Findings& findings) {
  for (const auto& interface : view.live.interfaces) {
    const InterfaceFacts* there = of_mac(view.interfaces_there, interface.mac);
    if (there == nullptr) continue;
    const HostFacts& source = view.proposal.source;
    const LinkFacts* from = link_of(source, bridge_of(*there, source));
    const LinkFacts* to = link_of(view.host, bridge_of(interface, view.host));
    if (from == nullptr || to == nullptr || to->mtu == 0 || from->mtu <= to->mtu) continue;
    findings.warning(
        Code::kMtuSmaller, interface.mac,
        fmt::format("{} on {} carries packets of up to {} bytes, {} on {} of {}.", to->name,
                    view.host.name, to->mtu, from->name, source.name, from->mtu),
        "Larger packets of the guest would be dropped: its connections stall.",
        {fmt::format("On {}: ip link set {} mtu {}, if its ports can", view.host.name,
                     word(to->name), from->mtu),
         fmt::format("In the guest: ip link set DEVICE mtu {}", to->mtu)});
  }
}

void check_macs(const DestinationView& view, Findings& findings) {
  for (const auto& interface : view.live.interfaces) {
    for (const auto& [mac, owner] : view.macs_here) {
      if (!same_mac(mac, interface.mac)) continue;
      findings.warning(
          Code::kMacTaken, interface.mac,
          fmt::format("{} on {} has the MAC {} too.", owner, view.host.name, interface.mac),
          "On one network, packets for either of the two would reach the other.",
          {fmt::format("With {} off, on {}, give it another: virsh edit {}", word(owner),
                       view.host.name, word(owner))});
    }
  }
}

}  // namespace drover::preflight
