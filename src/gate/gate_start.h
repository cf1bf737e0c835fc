// SPDX-License-Identifier: Apache-2.0
// The start message of a gate (docs/processes.md, "drover-gate"), both ways. Values; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "gate/definition_policy.h"
#include "gate/ownership_record.h"

namespace drover::gate {

enum class GateRole { kSource, kDestination };

struct GateStart {
  std::string move;
  GateRole role = GateRole::kSource;
  std::string vm_name;
  std::string vm_uuid;
  std::string epoch;
  std::string instance;        // of this host's journal; see gate/ownership_record.h
  std::string libvirt_socket;  // destination only, like all below
  std::string memory_socket;
  std::string disks_socket;
  bool watch = false;  // what the guest writes here, from its first instruction on
  Policy policy;

  RecordKey key() const { return {vm_uuid, epoch}; }
};

// JSON, without "fds".
std::string start_text(const GateStart& start);
// kProtocol names what is missing or wrong; other members are ignored.
Result<GateStart> parse_start(std::string_view text);

}  // namespace drover::gate
