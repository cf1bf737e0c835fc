// SPDX-License-Identifier: Apache-2.0
#include "place/verbs.h"

#include "json/encode.h"

namespace drover::place {

using Json = nlohmann::json;
using json::Fields;
using json::Unknown;

MoveView view_of(const Move& move) {
  MoveView view{move.id, move.state, move.queue.has_value(), move.destination, move.explanation};
  if (move.queue) view.explanation = move.queue->waits_for;
  if (move.error) {
    view.explanation += (view.explanation.empty() ? "" : " ") + move.error->text();
  }
  return view;
}

std::string to_json(const BringRequest& request) {
  return json::dump({{"vm", request.vm},
                     {"accepted_codes", request.accepted_codes},
                     {"requested_by", request.requested_by},
                     {"only_check", request.only_check}});
}

Result<BringRequest> bring_request_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(text));
  BringRequest request;
  RETURN_IF_ERROR(Fields(tree, "", Unknown::kIgnore)
                      .need("vm", request.vm)
                      .need("accepted_codes", request.accepted_codes)
                      .need("requested_by", request.requested_by)
                      .need("only_check", request.only_check)
                      .finish());
  return request;
}

std::string to_json(const MoveView& view) {
  return json::dump({{"id", view.id},
                     {"state", move_state_name(view.state)},
                     {"queued", view.queued},
                     {"destination", view.destination},
                     {"explanation", view.explanation}});
}

Result<MoveView> move_view_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(text));
  MoveView view;
  RETURN_IF_ERROR(Fields(tree, "", Unknown::kIgnore)
                      .need("id", view.id)
                      .need("state", view.state)
                      .need("queued", view.queued)
                      .need("destination", view.destination)
                      .need("explanation", view.explanation)
                      .finish());
  return view;
}

}  // namespace drover::place
