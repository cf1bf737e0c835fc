// SPDX-License-Identifier: Apache-2.0
// /v1/plans, /v1/moves and /v1/quarantine.
#include "api/routes.h"
#include "json/access_json.h"

namespace drover::api {
namespace {

using Json = nlohmann::json;

Result<MoveRequest> request_of(const Exchange& exchange, const Json& tree) {
  for (const char* name : {"requested_by", "passed", "continues"}) {
    if (tree.is_object() && tree.contains(name))
      return fail(ErrorCode::kInvalidArgument, "{} is not a known member.", name);
  }
  MoveRequest request;
  RETURN_IF_ERROR(json::decode(tree, "", json::Unknown::kRefuse, request));
  request.requested_by = exchange.caller.name;
  return request;
}

Answer move_answer(const Result<Move>& move) {
  RETURN_IF_ERROR(move);
  return json_answer(json::to_json(*move));
}

}  // namespace

Answer make_plan(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(exchange.request.body));
  ASSIGN_OR_RETURN(const MoveRequest request, request_of(exchange, tree));
  ASSIGN_OR_RETURN(const Plan plan, exchange.services.backend.make_plan(request));
  return json_answer(json::to_json(plan));
}

Answer get_plan(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const Plan plan, exchange.services.backend.plan(exchange.arguments[0]));
  return json_answer(json::to_json(plan));
}

Answer list_moves(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto moves, exchange.services.backend.moves());
  return json_answer(json::dump(json::encode_list("moves", moves)));
}

// A plan that was seen, or a request that is planned and started at once.
Answer start_move(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(exchange.request.body));
  if (!tree.is_object() || !tree.contains("plan")) {
    ASSIGN_OR_RETURN(const MoveRequest request, request_of(exchange, tree));
    return move_answer(exchange.services.backend.start_move(request));
  }
  PlanApproval approval;
  approval.requested_by = exchange.caller.name;
  RETURN_IF_ERROR(json::Fields(tree, "", json::Unknown::kRefuse)
                      .need("plan", approval.plan_id)
                      .may("accept_notes", approval.accept_notes)
                      .may("accepted_codes", approval.accepted_codes)
                      .may("after", approval.after)
                      .finish());
  return move_answer(exchange.services.backend.start_move(approval));
}

Answer get_move(const Exchange& exchange) {
  return move_answer(exchange.services.backend.move(exchange.arguments[0]));
}

Answer cancel_move(const Exchange& exchange) {
  return move_answer(
      exchange.services.backend.cancel_move(exchange.arguments[0], exchange.caller.name));
}

Answer converge_move(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(exchange.request.body));
  std::string text;
  RETURN_IF_ERROR(
      json::Fields(tree, "", json::Unknown::kRefuse).need("convergence", text).finish());
  ASSIGN_OR_RETURN(const Convergence policy, parse_convergence(text));
  return move_answer(
      exchange.services.backend.converge_move(exchange.arguments[0], policy, exchange.caller.name));
}

Answer resolve_move(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(exchange.request.body));
  MoveClaim claim;
  claim.requested_by = exchange.caller.name;
  RETURN_IF_ERROR(json::Fields(tree, "", json::Unknown::kRefuse)
                      .need("runs_on", claim.runs_on)
                      .may("peer_is_lost", claim.peer_is_lost)
                      .finish());
  return move_answer(exchange.services.backend.resolve_move(exchange.arguments[0], claim));
}

Answer list_quarantine(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto disks, exchange.services.backend.quarantine());
  return json_answer(json::dump(json::encode_list("disks", disks)));
}

Answer restore_quarantine(const Exchange& exchange) {
  RETURN_IF_ERROR(
      exchange.services.backend.restore_quarantine(exchange.arguments[0], exchange.caller.name));
  return empty_answer();
}

Answer drop_quarantine(const Exchange& exchange) {
  RETURN_IF_ERROR(
      exchange.services.backend.drop_quarantine(exchange.arguments[0], exchange.caller.name));
  return empty_answer();
}

}  // namespace drover::api
