// SPDX-License-Identifier: Apache-2.0
// What travels beside disks as members of messages and jobs: checkpoints, what files look like, and
// marks on disks. For job_json.cpp, peer_messages.cpp and preflight_messages.cpp alone.
#pragma once

#include <vector>

#include "hypervisor/checkpoint_xml.h"
#include "move/message_json.h"
#include "preflight/preflight.h"

namespace drover::move {

nlohmann::json checkpoints_to_json(const std::vector<CheckpointText>& checkpoints);
// Absent: none; earlier versions did not know them.
std::vector<CheckpointText> checkpoints_from_json(ObjectReader& reader, const char* member);

nlohmann::json samples_to_json(const std::vector<preflight::FileSample>& samples);
// Absent: none, likewise.
std::vector<preflight::FileSample> samples_from_json(ObjectReader& reader, const char* member);

// What is found must not be told beforehand.
enum class MarkPart { kStart, kBoth };
nlohmann::json marks_to_json(const std::vector<preflight::DiskMark>& marks, MarkPart part);
// Absent: none, likewise.
std::vector<preflight::DiskMark> marks_from_json(ObjectReader& reader, const char* member);

}  // namespace drover::move
