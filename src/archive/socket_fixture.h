// SPDX-License-Identifier: Apache-2.0
// Servers of tests: a socket is there before anybody listens at it.
#pragma once

#include <chrono>
#include <string>

#include "net/unix_socket.h"

namespace drover::archive {

inline bool listens(const std::string& socket) {
  return net::connect_unix(socket, net::SocketKind::kStream,
                           Deadline::after(std::chrono::seconds(1)))
      .has_value();
}

}  // namespace drover::archive
