// SPDX-License-Identifier: Apache-2.0
// TCP connections for links: dialling, listening, and the options both sides set. IPv4, IPv6, host
// names. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/deadline.h"
#include "base/error.h"
#include "base/unique_fd.h"

namespace drover::net {

// Connects and sends the preamble; the caller passes the descriptor to its mover. kUnavailable,
// retry later, with address, port and the likely cause; kNotFound: the name cannot be resolved (in
// time the resolver sets itself).
Result<UniqueFd> dial_link(const std::string& address, std::uint16_t port,
                           const std::string& move_id, std::uint16_t link, Deadline deadline);

// Listening sockets for all addresses the name stands for; "" is every address of the host, both
// families. Port 0 takes a free one (the same for all).
Result<std::vector<UniqueFd>> listen_tcp(const std::string& address, std::uint16_t port);
// The port that a socket is bound to.
Result<std::uint16_t> local_port(int fd);

// No delay for small frames; a peer that is silently gone is noticed by the kernel within about 10
// s.
void set_link_options(int fd);

}  // namespace drover::net
