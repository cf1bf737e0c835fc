// SPDX-License-Identifier: Apache-2.0
// /v1/vms/{id}/cpu-compat, /v1/mobility, /v1/plans/{id}/fix and /v1/fixes.
#include "api/routes.h"
#include "json/fit_json.h"

namespace drover::api {
namespace {

using Json = nlohmann::json;

Fit& fit_of(const Exchange& exchange) { return exchange.services.backend.fit(); }

}  // namespace

Answer cpu_compat(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(exchange.request.body));
  CpuWish wish;
  wish.vm = exchange.arguments[0];
  wish.requested_by = exchange.caller.name;
  RETURN_IF_ERROR(json::Fields(tree, "", json::Unknown::kRefuse)
                      .need("hosts", wish.hosts)
                      .may("write", wish.write)
                      .finish());
  ASSIGN_OR_RETURN(const CpuCompat found, fit_of(exchange).cpu_compat(wish));
  return json_answer(json::dump(json::encode(found)));
}

Answer get_mobility(const Exchange& exchange) {
  std::string vm;
  for (const auto& [name, value] : exchange.request.query) {
    if (name == "vm") vm = value;
  }
  ASSIGN_OR_RETURN(const Mobility found, fit_of(exchange).mobility(vm));
  return json_answer(json::dump(json::encode(found)));
}

Answer list_fixes(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto fixes, fit_of(exchange).fixes());
  return json_answer(json::dump(json::encode_list("fixes", fixes)));
}

Answer fix_plan(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(exchange.request.body));
  std::string code;
  RETURN_IF_ERROR(json::Fields(tree, "", json::Unknown::kRefuse).need("code", code).finish());
  ASSIGN_OR_RETURN(const auto fixes,
                   fit_of(exchange).apply_fix(exchange.arguments[0], code, exchange.caller.name));
  return json_answer(json::dump(json::encode_list("fixes", fixes)));
}

Answer undo_fix(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const AppliedFix fix,
                   fit_of(exchange).undo_fix(exchange.arguments[0], exchange.caller.name));
  return json_answer(json::dump(json::encode(fix)));
}

}  // namespace drover::api
