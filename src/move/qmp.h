// SPDX-License-Identifier: Apache-2.0
// Commands to a VM's QEMU, and its answers, which are not trusted to have any shape. Any thread.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "hypervisor/hypervisor.h"

namespace drover::move::qmp {

using Json = nlohmann::json;

Json command(const char* name, Json arguments = Json::object());
// What QEMU returns. kHypervisor: it refuses, and why; kUnavailable.
Result<Json> ask(Hypervisor& hypervisor, const std::string& uuid, const Json& command);

// The refusal says that this QEMU has no such command.
bool is_unknown_command(const Error& refusal);

// The member's text; empty: there is none.
std::string text_of(const Json& object, const char* member);
// An element of query-block is the drive that libvirt calls `alias`.
bool is_drive_of(const Json& drive, const std::string& alias);
// Its node, which the guest writes to: an object with "node-name", or an empty list.
const Json& node_of(const Json& drive);

}  // namespace drover::move::qmp
