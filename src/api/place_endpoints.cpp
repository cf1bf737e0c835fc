// SPDX-License-Identifier: Apache-2.0
// /v1/best and /v1/evacuations.
#include "api/routes.h"
#include "json/access_json.h"
#include "json/evacuation_json.h"

namespace drover::api {
namespace {

using Json = nlohmann::json;

Answer evacuation_answer(const Result<Evacuation>& evacuation) {
  RETURN_IF_ERROR(evacuation);
  return json_answer(json::to_json(*evacuation));
}

Result<EvacuationRequest> request_of(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(exchange.request.body));
  EvacuationRequest request;
  RETURN_IF_ERROR(json::decode(tree, "", json::Unknown::kRefuse, request));
  request.requested_by = exchange.caller.name;
  return request;
}

}  // namespace

Answer best_host(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(exchange.request.body));
  for (const char* name : {"requested_by", "passed", "continues"}) {
    if (tree.is_object() && tree.contains("request") && tree["request"].is_object() &&
        tree["request"].contains(name))
      return fail(ErrorCode::kInvalidArgument, "request.{} is not a known member.", name);
  }
  BestRequest request;
  RETURN_IF_ERROR(json::decode(tree, "", json::Unknown::kRefuse, request));
  request.request.requested_by = exchange.caller.name;
  ASSIGN_OR_RETURN(const BestChoice choice, exchange.services.backend.best_host(request));
  return json_answer(json::to_json(choice));
}

Answer plan_evacuation(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const EvacuationRequest request, request_of(exchange));
  return evacuation_answer(exchange.services.backend.plan_evacuation(request));
}

Answer start_evacuation(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const EvacuationRequest request, request_of(exchange));
  return evacuation_answer(exchange.services.backend.start_evacuation(request));
}

Answer list_evacuations(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto evacuations, exchange.services.backend.evacuations());
  return json_answer(json::dump(json::encode_list("evacuations", evacuations)));
}

Answer cancel_evacuation(const Exchange& exchange) {
  return evacuation_answer(exchange.services.backend.cancel_evacuation(exchange.caller.name));
}

}  // namespace drover::api
