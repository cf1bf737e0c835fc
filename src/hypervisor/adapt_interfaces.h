// SPDX-License-Identifier: Apache-2.0
// Rewrites a definition for the destination host: what its network interfaces are plugged into
// there. Everything else stays as it was. Pure; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "hypervisor/domain_xml.h"

namespace drover {

// Where an interface is plugged in at the destination.
struct InterfaceTarget {
  enum class Kind { kNetwork, kBridge };  // of libvirt; of Linux
  std::string from;  // a MAC, in any case, or the network, bridge or device of the definition
  Kind kind = Kind::kNetwork;
  std::string name;
};

bool is_mac(std::string_view text);
bool same_mac(std::string_view a, std::string_view b);
// Whether `from` is this interface's MAC, or what it is plugged into.
bool names_interface(std::string_view from, const InterfaceFacts& interface);
// Whether its other end can be another one: a guest does not notice. Not of a card of the host, nor
// of what another process serves.
bool can_be_plugged(const InterfaceFacts& interface);

// A MAC goes before a name. Of an interface that is plugged in elsewhere, what belongs to its
// former place goes: names of devices and ports, <virtualport>, <vlan>, addresses of QEMU's own
// network; a port group stays from network to network. Interfaces that no target names, and those
// that cannot be plugged, stay as they are.
Result<std::string> adapt_interfaces(std::string_view xml,
                                     std::span<const InterfaceTarget> targets);

}  // namespace drover
