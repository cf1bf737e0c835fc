// SPDX-License-Identifier: Apache-2.0
// Policy and rules as JSON: the `policy` member of the gate's start message.
#include <array>

#include <nlohmann/json.hpp>

#include "gate/definition_policy.h"
#include "net/control_message.h"

namespace drover::gate {
namespace {

using nlohmann::json;
using enum ReferenceKind;
using Rules = AdministratorRules;

constexpr std::array kKindNames{
    std::pair{kDiskFile, "disk_file"},
    std::pair{kDiskBlock, "disk_block"},
    std::pair{kDiskVolume, "disk_volume"},
    std::pair{kDiskNetwork, "disk_network"},
    std::pair{kDiskOther, "disk_other"},
    std::pair{kDiskUse, "disk_use"},
    std::pair{kEmulator, "emulator"},
    std::pair{kFirmware, "firmware"},
    std::pair{kNvram, "nvram"},
    std::pair{kNetwork, "network"},
    std::pair{kBridge, "bridge"},
    std::pair{kInterface, "interface"},
    std::pair{kInterfaceDevice, "interface_device"},
    std::pair{kNetworkFilter, "network_filter"},
    std::pair{kCharDevice, "char_device"},
    std::pair{kCharLog, "char_log"},
    std::pair{kGraphicsListen, "graphics_listen"},
    std::pair{kGraphics, "graphics"},
    std::pair{kAudio, "audio"},
    std::pair{kRandomSource, "random_source"},
    std::pair{kHostDevice, "host_device"},
    std::pair{kFilesystem, "filesystem"},
    std::pair{kSharedMemory, "shared_memory"},
    std::pair{kMemoryFile, "memory_file"},
    std::pair{kVsock, "vsock"},
    std::pair{kSecret, "secret"},
    std::pair{kSecurityLabel, "security_label"},
    std::pair{kCgroup, "cgroup"},
    std::pair{kLaunchSecurity, "launch_security"},
    std::pair{kNamespace, "namespace"},
    std::pair{kUnknown, "unknown"},
};

constexpr std::array kLists{
    std::pair{"disk_folders", &Rules::disk_folders},
    std::pair{"block_devices", &Rules::block_devices},
    std::pair{"volume_pools", &Rules::volume_pools},
    std::pair{"network_disks", &Rules::network_disks},
    std::pair{"disk_formats", &Rules::disk_formats},
    std::pair{"emulators", &Rules::emulators},
    std::pair{"firmware_folders", &Rules::firmware_folders},
    std::pair{"nvram_folders", &Rules::nvram_folders},
    std::pair{"networks", &Rules::networks},
    std::pair{"bridges", &Rules::bridges},
    std::pair{"char_device_types", &Rules::char_device_types},
    std::pair{"socket_folders", &Rules::socket_folders},
    std::pair{"log_folders", &Rules::log_folders},
    std::pair{"graphics_addresses", &Rules::graphics_addresses},
    std::pair{"audio_types", &Rules::audio_types},
    std::pair{"random_sources", &Rules::random_sources},
    std::pair{"cgroups", &Rules::cgroups},
    std::pair{"exact", &Rules::exact},
};

constexpr std::array kSwitches{
    std::pair{"user_network", &Rules::user_network},
    std::pair{"tap_names", &Rules::tap_names},
    std::pair{"network_filters", &Rules::network_filters},
    std::pair{"host_devices", &Rules::host_devices},
    std::pair{"filesystems", &Rules::filesystems},
    std::pair{"shared_memory", &Rules::shared_memory},
    std::pair{"memory_files", &Rules::memory_files},
    std::pair{"fixed_vsock", &Rules::fixed_vsock},
    std::pair{"secrets", &Rules::secrets},
    std::pair{"static_labels", &Rules::static_labels},
    std::pair{"launch_security", &Rules::launch_security},
};

json rules_json(const Rules& rules) {
  json out = json::object();
  for (const auto& [name, member] : kLists) out[name] = rules.*member;
  for (const auto& [name, member] : kSwitches) out[name] = rules.*member;
  return out;
}

Status take_rule(Rules& rules, const json& message, const std::string& name) {
  for (const auto& [list, member] : kLists) {
    if (name != list) continue;
    ASSIGN_OR_RETURN(rules.*member, net::texts_member(message, list));
    return {};
  }
  for (const auto& [flag, member] : kSwitches) {
    if (name != flag) continue;
    ASSIGN_OR_RETURN(rules.*member, net::flag_member(message, flag));
    return {};
  }
  return fail(ErrorCode::kInvalidArgument, "There is no rule '{}' for incoming VMs.", name);
}

Result<Rules> rules_of(const json& message) {
  if (!message.is_object()) return fail(ErrorCode::kProtocol, "Rules are not a JSON object.");
  Rules rules;
  for (const auto& [name, value] : message.items()) {
    RETURN_IF_ERROR(take_rule(rules, message, name));
  }
  return rules;
}

Result<HostReference> reference_of(const json& message) {
  if (!message.is_object()) return fail(ErrorCode::kProtocol, "A reference is not a JSON object.");
  HostReference reference;
  ASSIGN_OR_RETURN(const std::string kind, net::text_member(message, "kind"));
  ASSIGN_OR_RETURN(reference.value, net::text_member(message, "value"));
  for (const auto& [candidate, name] : kKindNames) {
    if (kind != name) continue;
    reference.kind = candidate;
    return reference;
  }
  return fail(ErrorCode::kProtocol, "There is no kind of reference '{}'.", kind);
}

std::string dump(const json& message) {
  return message.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::string_view reference_kind_name(ReferenceKind kind) {
  for (const auto& [candidate, name] : kKindNames) {
    if (candidate == kind) return name;
  }
  return "unknown";
}

std::string rules_text(const Rules& rules) { return dump(rules_json(rules)); }

Result<Rules> parse_rules(std::string_view text) {
  ASSIGN_OR_RETURN(const json message, net::parse_message(text));
  return rules_of(message);
}

std::string policy_text(const Policy& policy) {
  json message{{"host", policy.host},           {"vm_name", policy.vm_name},
               {"vm_uuid", policy.vm_uuid},     {"memory_uri", policy.memory_uri},
               {"disks_uri", policy.disks_uri}, {"disk_targets", policy.disk_targets},
               {"references", json::array()},   {"rules", rules_json(policy.rules)}};
  for (const HostReference& reference : policy.references) {
    message["references"].push_back(
        {{"kind", reference_kind_name(reference.kind)}, {"value", reference.value}});
  }
  return dump(message);
}

Result<Policy> parse_policy(std::string_view text) {
  ASSIGN_OR_RETURN(const json message, net::parse_message(text));
  Policy policy;
  ASSIGN_OR_RETURN(policy.host, net::text_member(message, "host"));
  ASSIGN_OR_RETURN(policy.vm_name, net::text_member(message, "vm_name"));
  ASSIGN_OR_RETURN(policy.vm_uuid, net::text_member(message, "vm_uuid"));
  ASSIGN_OR_RETURN(policy.memory_uri, net::text_member(message, "memory_uri"));
  ASSIGN_OR_RETURN(policy.disks_uri, net::text_member_or(message, "disks_uri", ""));
  ASSIGN_OR_RETURN(policy.disk_targets, net::texts_member(message, "disk_targets"));
  if (!message.contains("references") || !message["references"].is_array() ||
      !message.contains("rules")) {
    return fail(ErrorCode::kProtocol, "A policy lacks its references or rules.");
  }
  for (const json& entry : message["references"]) {
    ASSIGN_OR_RETURN(HostReference reference, reference_of(entry));
    policy.references.push_back(std::move(reference));
  }
  ASSIGN_OR_RETURN(policy.rules, rules_of(message["rules"]));
  return policy;
}

}  // namespace drover::gate
