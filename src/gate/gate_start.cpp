// SPDX-License-Identifier: Apache-2.0
#include "gate/gate_start.h"

#include <nlohmann/json.hpp>

#include "gate/migration_calls.h"
#include "net/control_message.h"

namespace drover::gate {

using nlohmann::json;

std::string start_text(const GateStart& start) {
  json message{{"move", start.move},
               {"vm_name", start.vm_name},
               {"vm_uuid", start.vm_uuid},
               {"epoch", start.epoch},
               {"instance", start.instance}};
  message["role"] = start.role == GateRole::kSource ? "source" : "destination";
  if (start.role == GateRole::kDestination) {
    message["libvirt_socket"] = start.libvirt_socket;
    message["memory_socket"] = start.memory_socket;
    message["disks_socket"] = start.disks_socket;
    if (start.watch) message["watch"] = true;
    message["policy"] = json::parse(policy_text(start.policy));
  }
  return message.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<GateStart> parse_start(std::string_view text) {
  ASSIGN_OR_RETURN(const json message, net::parse_message(text));
  GateStart start;
  ASSIGN_OR_RETURN(start.move, net::text_member(message, "move"));
  ASSIGN_OR_RETURN(start.vm_name, net::text_member(message, "vm_name"));
  ASSIGN_OR_RETURN(start.vm_uuid, net::text_member(message, "vm_uuid"));
  ASSIGN_OR_RETURN(start.epoch, net::text_member(message, "epoch"));
  ASSIGN_OR_RETURN(start.instance, net::text_member(message, "instance"));
  ASSIGN_OR_RETURN(const std::string role, net::text_member(message, "role"));
  ASSIGN_OR_RETURN(const RawUuid uuid, parse_uuid(start.vm_uuid));
  start.vm_uuid = uuid_text(uuid);  // records are named by the lower-case form
  if (role == "source") return start;
  if (role != "destination") return fail(ErrorCode::kProtocol, "A gate has no role '{}'.", role);
  start.role = GateRole::kDestination;
  ASSIGN_OR_RETURN(start.libvirt_socket, net::text_member(message, "libvirt_socket"));
  ASSIGN_OR_RETURN(start.memory_socket, net::text_member(message, "memory_socket"));
  ASSIGN_OR_RETURN(start.disks_socket, net::text_member_or(message, "disks_socket", ""));
  ASSIGN_OR_RETURN(start.watch, net::flag_member_or(message, "watch", false));
  const auto policy = message.find("policy");
  if (policy == message.end()) {
    return fail(ErrorCode::kProtocol, "The start message of a destination's gate has no policy.");
  }
  ASSIGN_OR_RETURN(start.policy, parse_policy(policy->dump()));
  return start;
}

}  // namespace drover::gate
