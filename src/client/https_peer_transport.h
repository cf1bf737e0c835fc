// SPDX-License-Identifier: Apache-2.0
// net::PeerTransport over HTTPS: POST /v1/peer/VERB to a paired host. Any thread.
#pragma once

#include <functional>
#include <memory>

#include "model/host.h"
#include "net/http/peer_connections.h"
#include "net/peer_transport.h"

namespace drover::client {

class HttpsPeerTransport final : public net::PeerTransport {
 public:
  // Finds a paired host by our name for it (journal::HostBook::find_peer). Any thread.
  using FindPeer = std::function<Result<Peer>(std::string_view name)>;
  // REQUIRES: `connections` outlives this.
  HttpsPeerTransport(FindPeer find_peer, net::PeerConnections& connections)
      : find_peer_(std::move(find_peer)), connections_(connections) {}

  Result<std::string> call(std::string_view peer_name, std::string_view verb, std::string_view body,
                           Deadline deadline) override;
  Result<std::string> call_at(std::string_view peer_name, const std::string& address,
                              std::string_view verb, std::string_view body,
                              Deadline deadline) override;

 private:
  const FindPeer find_peer_;
  net::PeerConnections& connections_;
};

}  // namespace drover::client
