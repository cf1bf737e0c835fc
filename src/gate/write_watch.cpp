// SPDX-License-Identifier: Apache-2.0
#include "gate/write_watch.h"

#include <nlohmann/json.hpp>

#include "base/big_endian.h"
#include "gate/actions.h"
#include "gate/xdr.h"

namespace drover::gate {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kDisksMax = 1024;
constexpr std::size_t kFinishTailBytes = 8;  // flags, cancelled

// The node that the guest writes to; empty: nothing is in the drive, or it cannot be written.
std::string written_node(const Json& drive) {
  if (!drive.is_object() || !drive.contains("inserted")) return {};
  const Json& inserted = drive["inserted"];
  if (!inserted.is_object()) return {};
  const auto read_only = inserted.find("ro");
  const auto node = inserted.find("node-name");
  if (read_only == inserted.end() || node == inserted.end() || !node->is_string()) return {};
  return *read_only == Json(false) ? node->get<std::string>() : std::string();
}

Bytes domain_bytes(const FinishReply& domain, std::string_view command, bool with_command) {
  XdrWriter out;
  out.bytes(domain.name);
  out.fixed({reinterpret_cast<const char*>(domain.uuid.data()), domain.uuid.size()});
  out.i32(domain.domain_id);
  if (with_command) {
    out.bytes(command);
    out.u32(0);  // flags: QMP
  }
  return out.take();
}

Result<Json> returned(std::string_view answer) {
  const Json parsed = Json::parse(answer, nullptr, false);
  if (parsed.is_object() && parsed.contains("return")) return parsed["return"];
  return fail(ErrorCode::kHypervisor, "QEMU answers: {}.", answer.substr(0, 400));
}

}  // namespace

std::string watch_name(std::string_view move) { return fmt::format("drover-{}", move); }

std::string list_disks_command() { return R"({"execute":"query-block"})"; }

Result<std::string> begin_watch_command(std::string_view answer, std::string_view move) {
  ASSIGN_OR_RETURN(const Json drives, returned(answer));
  Json begun = Json::array();
  if (drives.is_array() && drives.size() <= kDisksMax) {
    for (const Json& drive : drives) {
      const std::string node = written_node(drive);
      if (node.empty()) continue;
      begun.push_back({{"type", "block-dirty-bitmap-add"},
                       {"data",
                        {{"node", node},
                         {"name", watch_name(move)},
                         {"granularity", kWatchGranularity},
                         {"persistent", false}}}});
    }
  }
  if (begun.empty()) return fail(ErrorCode::kHypervisor, "QEMU names no disk to be watched.");
  const Json command{{"execute", "transaction"}, {"arguments", {{"actions", std::move(begun)}}}};
  return command.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Status check_answer(std::string_view answer) {
  if (const auto said = returned(answer); !said) return std::unexpected(said.error());
  return {};
}

RpcPacket monitor_call(const FinishReply& domain, std::string_view command, std::uint32_t serial) {
  return make_packet({.program = kProgramQemu, .procedure = kMonitorCommand, .serial = serial},
                     domain_bytes(domain, command, true));
}

RpcPacket resume_call(const FinishReply& domain, std::uint32_t serial) {
  return make_packet({.procedure = kDomainResume, .serial = serial},
                     domain_bytes(domain, {}, false));
}

Result<std::string> monitor_answer(const RpcPacket& reply) {
  if (reply.header.status != RpcStatus::kOk)
    return fail(ErrorCode::kHypervisor, "libvirt answers: {}.", error_text(reply));
  XdrReader in(reply.payload());
  std::string text = in.bytes(kStringBytesMax);
  if (!in.finished()) return fail(ErrorCode::kProtocol, "libvirt's answer is malformed.");
  return text;
}

bool hold_guest(RpcPacket& finish) {
  DROVER_CHECK(finish.bytes.size() >= kPacketBytesLeast + kFinishTailBytes);
  std::uint8_t* flags = &finish.bytes[finish.bytes.size() - kFinishTailBytes];
  const auto had = load_be<std::uint32_t>(flags);
  store_be(flags, had | kFlagPaused);
  return (had & kFlagPaused) == 0;
}

}  // namespace drover::gate
