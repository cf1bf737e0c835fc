// SPDX-License-Identifier: Apache-2.0
// /v1/archives: exports and imports.
#include "api/routes.h"
#include "json/access_json.h"
#include "json/archive_json.h"

namespace drover::api {
namespace {

using Json = nlohmann::json;

Answer archive_answer(const Result<Archive>& archive) {
  RETURN_IF_ERROR(archive);
  return json_answer(json::to_json(*archive));
}

Result<ArchiveRequest> request_of(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(exchange.request.body));
  ArchiveRequest request;
  RETURN_IF_ERROR(json::decode(tree, "", json::Unknown::kRefuse, request));
  request.requested_by = exchange.caller.name;
  return request;
}

}  // namespace

Answer list_archives(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto archives, exchange.services.backend.archives());
  return json_answer(json::dump(json::encode_list("archives", archives)));
}

Answer get_archive(const Exchange& exchange) {
  return archive_answer(exchange.services.backend.archive(exchange.arguments[0]));
}

Answer plan_archive(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const ArchiveRequest request, request_of(exchange));
  return archive_answer(exchange.services.backend.plan_archive(request));
}

Answer start_archive(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const ArchiveRequest request, request_of(exchange));
  return archive_answer(exchange.services.backend.start_archive(request));
}

Answer cancel_archive(const Exchange& exchange) {
  return archive_answer(
      exchange.services.backend.cancel_archive(exchange.arguments[0], exchange.caller.name));
}

Answer give_up_archive(const Exchange& exchange) {
  return archive_answer(
      exchange.services.backend.give_up_archive(exchange.arguments[0], exchange.caller.name));
}

}  // namespace drover::api
