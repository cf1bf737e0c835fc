// SPDX-License-Identifier: Apache-2.0
// Addresses and TCP connections to them. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/deadline.h"
#include "base/error.h"
#include "base/unique_fd.h"

namespace drover::net {

inline constexpr std::uint16_t kApiPort = 7430;
inline constexpr std::uint16_t kMoverPort = 7431;

struct Address {
  std::string host;  // name or IP address, without brackets
  std::uint16_t port = 0;
};

// "host1", "host1:7430", "10.0.0.2", "[fe80::1]:7430", "fe80::1".
Result<Address> read_address(std::string_view text, std::uint16_t default_port);
// With brackets where needed; the port only if it is not `default_port`.
std::string address_text(const Address& address, std::uint16_t default_port);

// Tries each address of the name until the deadline. kUnavailable (retry later): the message says
// host, port, the likely cause and what to check. Resolving a name is bounded by the system's
// resolver, not by the deadline. `from`: an address of this host that the connection leaves from;
// empty: as the routes say.
Result<UniqueFd> dial_tcp(const Address& address, Deadline deadline, const std::string& from = {});
// All addresses (IPv6 and IPv4) when `host` is empty. Port 0: any; ask local_address().
Result<UniqueFd> listen_tcp(const Address& address);

Result<Address> local_address(int socket);
Result<Address> remote_address(int socket);
// An address under which other machines probably reach this one; the host's name if there is none.
std::string likely_own_address();

}  // namespace drover::net
