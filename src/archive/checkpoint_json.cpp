// SPDX-License-Identifier: Apache-2.0
#include "archive/checkpoint_json.h"

#include "json/decode.h"
#include "json/fields.h"

namespace drover::archive {

using json::Fields;
using json::Unknown;

nlohmann::json checkpoints_to_json(const std::vector<CheckpointText>& checkpoints) {
  nlohmann::json list = nlohmann::json::array();
  for (const CheckpointText& one : checkpoints)
    list.push_back({{"name", one.name}, {"xml", one.xml}, {"current", one.current}});
  return list;
}

Result<std::vector<CheckpointText>> checkpoints_from_json(const nlohmann::json& list) {
  if (!list.is_array()) return fail(ErrorCode::kProtocol, "The checkpoints are no list.");
  std::vector<CheckpointText> checkpoints;
  for (const nlohmann::json& one : list) {
    CheckpointText& text = checkpoints.emplace_back();
    RETURN_IF_ERROR(Fields(one, "checkpoint", Unknown::kIgnore)
                        .need("name", text.name)
                        .need("xml", text.xml)
                        .need("current", text.current)
                        .finish());
  }
  return checkpoints;
}

}  // namespace drover::archive
