// SPDX-License-Identifier: Apache-2.0
// The IP addresses of this host, as the kernel has them now. Reads only. Any thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/host.h"

namespace drover {

// Of interfaces that are up; none of loopback or link-local. In the kernel's order. Empty when it
// does not answer.
std::vector<HostAddress> host_addresses();

// The bridges, and the devices of the addresses, each once.
std::vector<LinkFacts> host_links(std::span<const std::string> bridges,
                                  std::span<const HostAddress> addresses);

// The address that packets to `destination` (an address, no name) leave from; empty: no route, or
// no address. Sends nothing.
std::string address_towards(const std::string& destination);

}  // namespace drover
