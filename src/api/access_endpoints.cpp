// SPDX-License-Identifier: Apache-2.0
// /v1/tokens, /v1/doctor, and what daemons say to each other under /v1/peer.
#include "api/routes.h"
#include "json/access_json.h"
#include "net/token_text.h"

namespace drover::api {
namespace {

using Json = nlohmann::json;

Result<std::string> text_member(const Exchange& exchange, const char* name) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(exchange.request.body));
  std::string value;
  RETURN_IF_ERROR(json::Fields(tree, "", json::Unknown::kRefuse).need(name, value).finish());
  return value;
}

}  // namespace

Answer list_tokens(const Exchange& exchange) {
  return json_answer(json::dump(json::encode_list("tokens", exchange.services.book.tokens())));
}

Answer add_token(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const std::string name, text_member(exchange, "name"));
  const std::string text = net::make_token(exchange.services.identity.public_key());
  ASSIGN_OR_RETURN(const Token token, exchange.services.book.add_token(name, text));
  return json_answer(json::dump(json::encode(NewToken{token.id, text})));
}

Answer remove_token(const Exchange& exchange) {
  RETURN_IF_ERROR(exchange.services.book.remove_token(exchange.arguments[0]));
  return empty_answer();
}

Answer doctor(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto findings, exchange.services.backend.doctor());
  return json_answer(json::dump(json::encode_list("findings", findings)));
}

Answer fix(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const std::string name, text_member(exchange, "fix"));
  RETURN_IF_ERROR(exchange.services.backend.fix(name, exchange.caller.name));
  return empty_answer();
}

Answer pair_with(const Exchange& exchange) {
  ASSIGN_OR_RETURN(std::string text,
                   exchange.services.pairing.answer(exchange.request, exchange.services.api_port));
  return json_answer(std::move(text));
}

// Three verbs are about hosts themselves; all others belong to moves.
Answer peer_verb(const Exchange& exchange) {
  const std::string& verb = exchange.arguments[0];
  const Peer& peer = *exchange.caller.peer;
  Services& services = exchange.services;
  Result<std::string> text;
  if (verb == "hello") {
    text =
        json::dump({{"name", services.options.host_name}, {"version", services.options.version}});
  } else if (verb == "introduce") {
    text = services.courier.take_introduction(peer, exchange.request.body);
  } else if (verb == "forget") {
    text = services.courier.take_parting(peer, exchange.request.body);
  } else {
    text = services.peer_handler.handle(peer.name, verb, exchange.request.body);
  }
  RETURN_IF_ERROR(text);
  return json_answer(std::move(*text));
}

}  // namespace drover::api
