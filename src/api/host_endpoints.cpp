// SPDX-License-Identifier: Apache-2.0
// /v1/version, /v1/host, /v1/settings, /v1/hosts…
#include "api/routes.h"
#include "json/access_json.h"

namespace drover::api {
namespace {

using Json = nlohmann::json;

template <typename T>
Result<T> body_as(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(exchange.request.body));
  T value{};
  RETURN_IF_ERROR(json::decode(tree, "", json::Unknown::kRefuse, value));
  return value;
}

Answer entry_answer(const Exchange& exchange, const Peer& peer) {
  return json_answer(json::dump(json::encode(exchange.services.carrier.entries({peer}).front())));
}

}  // namespace

Answer get_version(const Exchange& exchange) {
  const ServerOptions& options = exchange.services.options;
  return json_answer(
      json::dump(json::encode(ServerVersion{options.version, 1, options.host_name})));
}

Answer get_host(const Exchange& exchange) {
  ASSIGN_OR_RETURN(HostFacts facts, exchange.services.backend.host_facts());
  facts.name = exchange.services.options.host_name;
  facts.drover_version = exchange.services.options.version;
  facts.settings = exchange.services.book.settings();
  return json_answer(json::to_json(facts));
}

Answer get_settings(const Exchange& exchange) {
  return json_answer(json::to_json(exchange.services.book.settings()));
}

Answer change_settings(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(exchange.request.body));
  ASSIGN_OR_RETURN(const auto changes,
                   json::decode_list<SettingChange>(tree, "set", json::Unknown::kRefuse));
  ASSIGN_OR_RETURN(const HostSettings settings, exchange.services.book.change_settings(changes));
  exchange.services.hub.publish_host(exchange.services.options.host_name, "changed");
  return json_answer(json::to_json(settings));
}

Answer list_hosts(const Exchange& exchange) {
  const auto entries = exchange.services.carrier.entries(exchange.services.book.peers());
  return json_answer(json::dump(json::encode_list("hosts", entries)));
}

Answer add_host(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const HostAddition addition, body_as<HostAddition>(exchange));
  ASSIGN_OR_RETURN(const Peer peer,
                   exchange.services.pairing.add(addition, exchange.services.api_port));
  return entry_answer(exchange, peer);
}

Answer invite_host(const Exchange& exchange) {
  InviteRequest request;
  if (!exchange.request.body.empty()) {
    ASSIGN_OR_RETURN(request, body_as<InviteRequest>(exchange));
  }
  ASSIGN_OR_RETURN(const Invite invite,
                   exchange.services.pairing.invite(request, exchange.services.api_port));
  return json_answer(json::dump(json::encode(invite)));
}

Answer get_peer(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const Peer peer, exchange.services.book.find_peer(exchange.arguments[0]));
  return entry_answer(exchange, peer);
}

Answer change_peer(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(exchange.request.body));
  ASSIGN_OR_RETURN(const Peer known, exchange.services.book.find_peer(exchange.arguments[0]));
  PeerRights rights = known.rights;  // members left out stay as they are
  RETURN_IF_ERROR(json::Fields(tree, "", json::Unknown::kRefuse).need("rights", rights).finish());
  ASSIGN_OR_RETURN(const Peer peer, exchange.services.book.set_rights(known.name, rights));
  exchange.services.hub.publish_host(peer.name, "changed");
  return entry_answer(exchange, peer);
}

Answer remove_peer(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const Peer gone, exchange.services.book.remove_peer(exchange.arguments[0]));
  exchange.services.courier.part(gone);
  exchange.services.hub.publish_host(gone.name, "removed");
  return empty_answer();
}

Answer approve_peer(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const Peer peer, exchange.services.book.approve_peer(exchange.arguments[0]));
  exchange.services.hub.publish_host(peer.name, "approved");
  return entry_answer(exchange, peer);
}

}  // namespace drover::api
