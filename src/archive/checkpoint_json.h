// SPDX-License-Identifier: Apache-2.0
// Checkpoints in the manifest and in the journal. Pure; for .cpp files.
#pragma once

#include <vector>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "hypervisor/checkpoint_xml.h"

namespace drover::archive {

nlohmann::json checkpoints_to_json(const std::vector<CheckpointText>& checkpoints);
// kProtocol: it is no list of checkpoints.
Result<std::vector<CheckpointText>> checkpoints_from_json(const nlohmann::json& list);

}  // namespace drover::archive
