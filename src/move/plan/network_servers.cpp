// SPDX-License-Identifier: Apache-2.0
#include "move/plan/network_servers.h"

#include <algorithm>
#include <chrono>

#include "model/network_disk.h"
#include "net/resolve.h"

namespace drover::move {
namespace {

constexpr std::chrono::milliseconds kServerAnswers{1000};  // one of several
// A monitor's, of the first and the second version of its protocol (Ceph's include/msgr.h).
constexpr std::uint16_t kMonitorPorts[] = {6789, 3300};

bool is_own_address(const std::string& host) {
  return host.starts_with("127.") || host == "::1" || host == "0.0.0.0" || host == "::" ||
         host.starts_with("169.254.") || host.starts_with("fe80:") ||
         host.starts_with("::ffff:127.");
}

Status check_not_own(const std::string& named, const std::string& address) {
  if (!is_own_address(address)) return {};
  return fail(ErrorCode::kPolicy, "{} means {}, which is another server on each host.", named,
              address);
}

Result<std::uint16_t> port_of(const NetworkServer& named, std::string_view protocol) {
  if (named.port.empty()) return protocol == "rbd" ? 0 : network_disk_port(protocol);
  const unsigned long port = std::stoul(named.port);  // five digits at most: network_uris()
  if (port == 0 || port > 65535)
    return fail(ErrorCode::kInvalidArgument, "{} is no port.", named.port);
  return static_cast<std::uint16_t>(port);
}

// Those of a name; the name itself where it has none now.
std::vector<std::string> addresses_of(const std::string& host) {
  auto found = net::addresses_of(host);
  if (!found) return {host};
  std::ranges::sort(*found);
  const auto twice = std::ranges::unique(*found);
  found->erase(twice.begin(), twice.end());
  return std::move(*found);
}

Result<UniqueFd> dial_port(const net::Address& at, Deadline deadline) {
  if (at.port != 0) return net::dial_tcp(at, deadline);
  Result<UniqueFd> socket = fail(ErrorCode::kUnavailable, "{} is not reached.", at.host);
  for (const std::uint16_t port : kMonitorPorts) {
    const auto own = port == kMonitorPorts[0] ? deadline.left() / 2 : deadline.left();
    socket = net::dial_tcp({at.host, port}, Deadline::after(own));
    if (socket) break;
  }
  return socket;
}

}  // namespace

std::vector<NetworkServer> servers_of(const NetworkSource& source) {
  std::vector<NetworkServer> servers{{source.host, source.port}};
  servers.insert(servers.end(), source.further.begin(), source.further.end());
  return servers;
}

Result<std::vector<NetworkEndpoint>> network_endpoints(const NetworkSource& source,
                                                       const NetworkLook& look) {
  std::vector<NetworkEndpoint> found;
  if (source.further.empty()) {
    ASSIGN_OR_RETURN(const std::uint16_t port,
                     port_of({source.host, source.port}, source.protocol));
    found.push_back({{source.host, port}, true});
    return found;
  }
  for (const NetworkServer& server : servers_of(source)) {
    if (look.deadline.expired())
      return fail(ErrorCode::kTimeout, "Its servers' names are not known in time.");
    ASSIGN_OR_RETURN(const std::uint16_t port, port_of(server, source.protocol));
    for (const std::string& address : addresses_of(server.host)) {
      RETURN_IF_ERROR(check_not_own(server.host, address));
      found.push_back({{address, port}, false});
    }
    if (found.size() > kNetworkServersMost)
      return fail(ErrorCode::kPolicy, "It has more than {} servers.", kNetworkServersMost);
  }
  return found;
}

Result<UniqueFd> dial_endpoint(const NetworkEndpoint& server, NetworkLook& look) {
  const std::string name = net::address_text(server.at, 0);
  if (look.silent.contains(name))
    return fail(ErrorCode::kUnavailable, "{} did not answer a moment ago.", name);
  const auto own =
      server.alone ? look.deadline.left() : std::min(kServerAnswers, look.deadline.left());
  auto socket = dial_port(server.at, Deadline::after(own));
  if (!socket) {
    look.give_up(server);
    Error error = std::move(socket).error();
    const bool found = !error.causes.empty() && error.causes.front().starts_with("errno");
    if (found)
      error.message = fmt::format("{} does not answer. Is it up, and open to this host?", name);
    return std::unexpected(std::move(error));
  }
  ASSIGN_OR_RETURN(const net::Address reached, net::remote_address(socket->get()));
  RETURN_IF_ERROR(check_not_own(server.at.host, reached.host));
  return socket;
}

}  // namespace drover::move
