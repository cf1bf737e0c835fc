// SPDX-License-Identifier: Apache-2.0
// /v1/hosts/{name}/interfaces: where interfaces of VMs are plugged in at a paired host, as is
// remembered of moves there.
#include "api/routes.h"
#include "json/access_json.h"
#include "preflight/interface_map.h"

namespace drover::api {

Answer list_interface_places(const Exchange& exchange) {
  auto& book = exchange.services.book;
  ASSIGN_OR_RETURN(const Peer peer, book.find_peer(exchange.arguments[0]));
  ASSIGN_OR_RETURN(const auto places, book.interface_places().of(peer.public_key));
  return json_answer(json::dump(json::encode_list("interfaces", places)));
}

Answer set_interface_places(const Exchange& exchange) {
  auto& book = exchange.services.book;
  ASSIGN_OR_RETURN(const Peer peer, book.find_peer(exchange.arguments[0]));
  ASSIGN_OR_RETURN(const auto tree, json::parse(exchange.request.body));
  ASSIGN_OR_RETURN(const auto places,
                   json::decode_list<InterfacePlace>(tree, "interfaces", json::Unknown::kRefuse));
  RETURN_IF_ERROR(preflight::check_interface_places(places, journal::kInterfacePlacesKept));
  RETURN_IF_ERROR(book.interface_places().set(peer.public_key, places));
  return list_interface_places(exchange);
}

}  // namespace drover::api
