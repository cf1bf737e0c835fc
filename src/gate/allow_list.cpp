// SPDX-License-Identifier: Apache-2.0
#include "gate/allow_list.h"

#include <array>

#include "gate/xdr.h"

namespace drover::gate {
namespace {

// What a peer-to-peer migration asks of the destination, libvirt 9.0 to 11.3.
constexpr std::array kAllowed{
    AllowedCall{kConnectOpen, "CONNECT_OPEN"},
    AllowedCall{kConnectClose, "CONNECT_CLOSE"},
    AllowedCall{kConnectSupportsFeature, "CONNECT_SUPPORTS_FEATURE"},
    AllowedCall{kAuthList, "AUTH_LIST"},
    AllowedCall{kMigratePrepare, "DOMAIN_MIGRATE_PREPARE3_PARAMS"},
    AllowedCall{kMigrateFinish, "DOMAIN_MIGRATE_FINISH3_PARAMS"},
    AllowedCall{kRegisterCloseCallback, "CONNECT_REGISTER_CLOSE_CALLBACK"},
    AllowedCall{kUnregisterCloseCallback, "CONNECT_UNREGISTER_CLOSE_CALLBACK"},
};

constexpr std::size_t kUriBytesMax = 256;

bool is_allowed(std::int32_t procedure) {
  for (const AllowedCall& call : kAllowed) {
    if (call.procedure == procedure) return true;
  }
  return false;
}

// Only the system's own hypervisor, with no flags.
bool opens_local_system(std::span<const std::uint8_t> payload) {
  XdrReader in(payload);
  const bool has_name = in.boolean();
  const std::string name = has_name ? in.bytes(kUriBytesMax) : "";
  const std::uint32_t flags = in.u32();
  return in.finished() && name == "qemu:///system" && flags == 0;
}

// The arguments of the small calls; PREPARE and FINISH are judged by gate/call_policy.h.
bool arguments_fit(const RpcPacket& packet) {
  switch (packet.header.procedure) {
    case kConnectOpen:
      return opens_local_system(packet.payload());
    case kConnectSupportsFeature:
      return packet.payload().size() == 4;
    case kMigratePrepare:
    case kMigrateFinish:
      return true;
    default:
      return packet.payload().empty();
  }
}

}  // namespace

std::span<const AllowedCall> allowed_calls() { return kAllowed; }

std::string procedure_name(std::int32_t procedure) {
  for (const AllowedCall& call : kAllowed) {
    if (call.procedure == procedure) return std::string(call.name);
  }
  return fmt::format("procedure {}", procedure);
}

CallJudgement judge_call(const RpcPacket& packet) {
  const RpcHeader& header = packet.header;
  if (is_ping(header)) return {CallVerdict::kPing, ""};
  if (is_keepalive(header)) return {CallVerdict::kIgnore, ""};
  if (header.type != RpcType::kCall || header.status != RpcStatus::kOk) {
    return {CallVerdict::kBreak, fmt::format("a packet of type {} and status {} of {} is no call",
                                             static_cast<std::uint32_t>(header.type),
                                             static_cast<std::uint32_t>(header.status),
                                             procedure_name(header.procedure))};
  }
  if (header.program != kProgramRemote || header.version != kProgramVersion) {
    return {CallVerdict::kRefuse, fmt::format("program {:#x} version {} is not part of a migration",
                                              header.program, header.version)};
  }
  if (!is_allowed(header.procedure)) {
    return {CallVerdict::kRefuse,
            fmt::format("{} is not part of a migration", procedure_name(header.procedure))};
  }
  if (!arguments_fit(packet)) {
    return {CallVerdict::kRefuse,
            fmt::format("the arguments of {} are not those of a migration to qemu:///system",
                        procedure_name(header.procedure))};
  }
  return {CallVerdict::kPass, ""};
}

}  // namespace drover::gate
