// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/libvirt/monitor.h"

#include <libvirt/libvirt-qemu.h>

#include "hypervisor/libvirt/failure.h"
#include "hypervisor/libvirt/handle.h"

namespace drover::libvirt {

using Json = nlohmann::json;

Result<Json> ask_monitor(virDomainPtr domain, const Json& command, std::string_view purpose,
                         int descriptor) {
  char* raw = nullptr;
  const int failed =
      virDomainQemuMonitorCommandWithFiles(domain, command.dump().c_str(), descriptor >= 0 ? 1 : 0,
                                           descriptor >= 0 ? &descriptor : nullptr, nullptr,
                                           nullptr, &raw, VIR_DOMAIN_QEMU_MONITOR_COMMAND_DEFAULT);
  const Text reply(raw);
  if (failed != 0) return fail_libvirt(fmt::format("QEMU cannot be asked to {}", purpose));
  Json parsed = Json::parse(raw != nullptr ? raw : "", nullptr, false);
  if (!parsed.is_object())
    return fail(ErrorCode::kHypervisor, "QEMU's answer to {} is not JSON.", command.dump());
  if (parsed.contains("error")) {
    auto refused = fail(ErrorCode::kHypervisor, "QEMU refuses to {}.", purpose);
    refused.error().causes.push_back(parsed["error"].dump());
    return refused;
  }
  return parsed.value("return", Json());
}

std::string text_of(const Json& object, const char* member) {
  if (!object.is_object()) return {};
  const auto found = object.find(member);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace drover::libvirt
