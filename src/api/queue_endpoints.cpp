// SPDX-License-Identifier: Apache-2.0
// /v1/queue: moves that wait for their turn. One ends by /v1/moves/{id}/cancel.
#include "api/routes.h"
#include "json/access_json.h"

namespace drover::api {
namespace {

using Json = nlohmann::json;

Answer move_answer(const Result<Move>& move) {
  RETURN_IF_ERROR(move);
  return json_answer(json::to_json(*move));
}

Answer hold(const Exchange& exchange, bool held) {
  return move_answer(
      exchange.services.backend.hold_move(exchange.arguments[0], held, exchange.caller.name));
}

}  // namespace

Answer list_queue(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto moves, exchange.services.backend.queue());
  return json_answer(json::dump(json::encode_list("moves", moves)));
}

Answer hold_move(const Exchange& exchange) { return hold(exchange, true); }

Answer release_move(const Exchange& exchange) { return hold(exchange, false); }

Answer set_priority(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(exchange.request.body));
  int priority = 0;
  RETURN_IF_ERROR(
      json::Fields(tree, "", json::Unknown::kRefuse).need("priority", priority).finish());
  return move_answer(exchange.services.backend.set_priority(exchange.arguments[0], priority,
                                                            exchange.caller.name));
}

}  // namespace drover::api
