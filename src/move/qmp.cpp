// SPDX-License-Identifier: Apache-2.0
#include "move/qmp.h"

#include <algorithm>

namespace drover::move::qmp {
namespace {

const Json kNothing = Json::array();

}  // namespace

std::string text_of(const Json& object, const char* member) {
  if (!object.is_object() || !object.contains(member)) return {};
  const Json& value = object[member];
  return value.is_string() ? value.get<std::string>() : std::string();
}

Result<Json> ask(Hypervisor& hypervisor, const std::string& uuid, const Json& command) {
  const std::string text = command.dump(-1, ' ', false, Json::error_handler_t::replace);
  ASSIGN_OR_RETURN(const std::string answer, hypervisor.ask_qemu(uuid, text));
  Json parsed = Json::parse(answer, nullptr, false);
  if (parsed.is_object() && parsed.contains("return")) return parsed["return"];
  auto refused = fail(ErrorCode::kHypervisor, "QEMU refuses {}.", text_of(command, "execute"));
  refused.error().causes.push_back(answer.substr(0, 400));
  return refused;
}

bool is_unknown_command(const Error& refusal) {
  return std::ranges::any_of(refusal.causes, [](const std::string& cause) {
    return cause.contains("\"CommandNotFound\"");
  });
}

Json command(const char* name, Json arguments) {
  return {{"execute", name}, {"arguments", std::move(arguments)}};
}

// "virtio-disk0" is "/machine/peripheral/virtio-disk0/virtio-backend", or the very name.
bool is_drive_of(const Json& drive, const std::string& alias) {
  const std::string device = text_of(drive, "qdev");
  return device == alias || device.ends_with("/" + alias) ||
         device.find("/" + alias + "/") != std::string::npos;
}

const Json& node_of(const Json& drive) {
  return drive.is_object() && drive.contains("inserted") ? drive["inserted"] : kNothing;
}

}  // namespace drover::move::qmp
