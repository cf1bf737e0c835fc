// SPDX-License-Identifier: Apache-2.0
// TCP connections that become links of a move. Any thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/deadline.h"
#include "base/error.h"
#include "base/unique_fd.h"
#include "net/dial.h"

namespace drover::net {

// Connects and sends the preamble; the caller passes the descriptor to its mover. `from` and errors
// as of dial_tcp.
Result<UniqueFd> dial_link(const Address& address, const std::string& move_id, std::uint16_t link,
                           Deadline deadline, const std::string& from = {});

// No delay for small frames; a peer that is silently gone is noticed by the kernel within about
// 10 s. Buffers stay the kernel's: the mover bounds what waits in them (TCP_NOTSENT_LOWAT).
void set_link_options(int fd);

}  // namespace drover::net
