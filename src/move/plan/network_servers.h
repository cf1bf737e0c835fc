// SPDX-License-Identifier: Apache-2.0
// The servers that a definition names for one network disk, as this host reaches them
// (docs/decisions/0007). Any thread.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/error.h"
#include "base/unique_fd.h"
#include "hypervisor/domain_xml.h"
#include "net/dial.h"

namespace drover::move {

inline constexpr std::size_t kNetworkServersMost = 16;  // of one disk, counted by their addresses

// What a secret holds that libvirt keeps on this host.
using SecretReader = std::function<Result<std::string>(const SecretName&)>;

// By what its definition names it; port 0: RBD's, whose clients then try both of a monitor's.
struct NetworkEndpoint {
  net::Address at;
  bool alone = true;  // the disk has no other
};

// What a look at all network disks of a VM shares. One thread.
struct NetworkLook {
  SecretReader secrets;  // called for a disk that asks for one
  Deadline deadline;     // of all of them together
  // Servers that did not answer: one that is off is waited for once, not once for each disk.
  std::set<std::string> silent = {};

  void give_up(const NetworkEndpoint& server) { silent.insert(net::address_text(server.at, 0)); }
};

// As the definition names them.
std::vector<NetworkServer> servers_of(const NetworkSource& source);

// In the definition's order. Of a disk with several servers each is there by every address that its
// name has here, so that two hosts can compare them whether they answer or not; of a disk with one
// server it is as the definition names it. An error: a port is none, there are more than
// kNetworkServersMost, or one lies at an address that means each host itself.
Result<std::vector<NetworkEndpoint>> network_endpoints(const NetworkSource& source,
                                                       const NetworkLook& look);

// A connection to it. kPolicy: it was reached at an address that means each host itself.
Result<UniqueFd> dial_endpoint(const NetworkEndpoint& server, NetworkLook& look);

}  // namespace drover::move
