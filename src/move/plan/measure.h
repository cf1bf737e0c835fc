// SPDX-License-Identifier: Apache-2.0
// The verb `measure` of peers, for forecasts (docs/forecast.md): what the destination holds of a VM
// that may come, how fast its disks are, and, by how long bodies take, how fast the way to it is.
// It holds nothing and promises nothing. Any thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/plan.h"
#include "move/world.h"

namespace drover::move {

struct MeasureRequest {
  std::string vm_uuid;               // empty: nobody asks for what is held
  std::vector<std::string> folders;  // where disks would land; empty: no disk is tried
  // Of bytes that only travel: at most kPaddingMax, and not read at the other end.
  std::size_t padding = 0;
};
inline constexpr std::size_t kPaddingMax = 3 * 1024 * 1024;

struct MeasureReply {
  BytesPerSecond write;               // of the slowest of the folders; 0: not known
  ByteCount held_disks, held_memory;  // of this VM, from earlier moves between these hosts
  std::chrono::seconds age{0};        // of what is held of its memory
};

std::string to_json(const MeasureRequest&);
std::string to_json(const MeasureReply&);
Result<MeasureRequest> measure_request_from_json(std::string_view text);  // without the padding
Result<MeasureReply> measure_reply_from_json(std::string_view text);

// At the destination. What cannot be found out is 0.
MeasureReply measure_here(World& world, std::string_view peer, const MeasureRequest& request);

// At the source: of all networks of the plan together, by TLS to the other host's API at the
// address that links would go to. 0: it does not answer there. Takes about half a second for each
// network.
BytesPerSecond measure_link(World& world, const Plan& plan);

}  // namespace drover::move
