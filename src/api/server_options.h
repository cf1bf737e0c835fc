// SPDX-License-Identifier: Apache-2.0
// What the API needs to be told at start. Plain values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "net/dial.h"
#include "net/http/http_server.h"

namespace drover::api {

struct ServerOptions {
  std::string host_name;  // this host's name for itself; newcomers call it so unless told otherwise
  std::string version;
  std::filesystem::path socket = "/run/drover/drover.sock";
  std::string socket_group = "drover";     // missing on this host: root alone may use the socket
  std::string listen_address;              // empty: every address
  std::uint16_t api_port = net::kApiPort;  // 0: any free one (tests)
  std::uint16_t mover_port = net::kMoverPort;  // told to peers
  std::string advertised_address;              // how others reach this host; empty: found out
  net::HttpServer::Limits limits;
  std::size_t event_streams = 32;  // each occupies a thread and a connection
};

}  // namespace drover::api
