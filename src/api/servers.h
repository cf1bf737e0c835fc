// SPDX-License-Identifier: Apache-2.0
// The API as droverd starts and stops it: unix socket, HTTPS, and what they work on. start() and
// stop() from one thread.
#pragma once

#include <cstdint>
#include <memory>

#include "api/backend.h"
#include "api/event_hub.h"
#include "api/server_options.h"
#include "base/error.h"
#include "journal/host_book.h"
#include "net/host_identity.h"
#include "net/http/peer_connections.h"
#include "net/peer_transport.h"

namespace drover::api {

class Servers {
 public:
  // REQUIRES: all outlive the servers.
  Servers(ServerOptions options, const net::HostIdentity& identity, journal::HostBook& book,
          Backend& backend, net::PeerHandler& peer_handler, net::PeerConnections& connections,
          EventHub& hub);
  ~Servers();

  // Binds both sockets; nothing is served if either cannot be had.
  Status start();
  // Closes the hub, breaks off connections and calls to peers, waits for their threads: within
  // seconds, or 20 if a pairing is under way.
  void stop();
  // The TCP port that is listened on. REQUIRES: started.
  std::uint16_t api_port() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace drover::api
