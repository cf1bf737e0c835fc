// SPDX-License-Identifier: Apache-2.0
#include "gate/actions.h"

#include "gate/allow_list.h"

namespace drover::gate {

bool PendingCalls::add(const RpcHeader& call) {
  return calls_.size() < kCallsMax && calls_.emplace(call.serial, call).second;
}

std::optional<RpcHeader> PendingCalls::take(const RpcHeader& reply) {
  const auto at = calls_.find(reply.serial);
  if (at == calls_.end() || at->second.procedure != reply.procedure) return std::nullopt;
  const RpcHeader call = at->second;
  calls_.erase(at);
  return call;
}

std::optional<RpcHeader> PendingCalls::find(std::int32_t procedure) const {
  for (const auto& [serial, call] : calls_) {
    if (call.procedure == procedure) return call;
  }
  return std::nullopt;
}

bool is_answer(const RpcHeader& header) {
  return header.program == kProgramRemote && header.version == kProgramVersion &&
         header.type == RpcType::kReply && header.status != RpcStatus::kContinue;
}

bool is_connection_closed_event(const RpcHeader& header) {
  return header.program == kProgramRemote && header.version == kProgramVersion &&
         header.type == RpcType::kMessage && header.procedure == kConnectionClosedEvent;
}

std::string error_text(const RpcPacket& reply) {
  const auto error = decode_error(reply.payload());
  if (!error || error->message.empty()) return "libvirt gave no reason";
  return error->message;
}

}  // namespace drover::gate
