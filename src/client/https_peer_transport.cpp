// SPDX-License-Identifier: Apache-2.0
#include "client/https_peer_transport.h"

#include "json/access_json.h"

namespace drover::client {

Result<std::string> HttpsPeerTransport::call(std::string_view peer_name, std::string_view verb,
                                             std::string_view body, Deadline deadline) {
  return call_at(peer_name, {}, verb, body, deadline);
}

Result<std::string> HttpsPeerTransport::call_at(std::string_view peer_name,
                                                const std::string& address, std::string_view verb,
                                                std::string_view body, Deadline deadline) {
  ASSIGN_OR_RETURN(Peer peer, find_peer_(peer_name));
  if (!address.empty()) peer.address = address;
  if (peer.state == PeerState::kWaiting) {
    return fail(ErrorCode::kPermission, "The host {} waits for approval: `drover host approve {}`.",
                peer.name, peer.name);
  }
  const net::PeerEndpoint endpoint{peer.name, {peer.address, peer.api_port}, peer.public_key};
  const net::HttpCall call{
      "POST", "/v1/peer/" + net::encode_part(verb), std::string(body), {}, deadline};
  ASSIGN_OR_RETURN(net::HttpReply reply, connections_.call(endpoint, call));
  if (reply.status == 200) return std::move(reply.body);
  return std::unexpected(json::error_of_body(reply.status, reply.body));
}

}  // namespace drover::client
