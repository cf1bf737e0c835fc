// SPDX-License-Identifier: Apache-2.0
// For tests of the two state machines: packets as libvirtd sends them, and what came out as a list
// of short words.
#pragma once

#include <string>
#include <vector>

#include "gate/actions.h"
#include "gate/allow_list.h"

namespace drover::gate::testing {

inline constexpr const char* kVmName = "web1";
inline constexpr const char* kVmUuid = "01234567-89ab-cdef-0123-456789abcdef";

inline RpcPacket call(std::int32_t procedure, std::uint32_t serial, const Bytes& payload = {}) {
  return make_packet({.procedure = procedure, .serial = serial}, payload);
}

inline RpcPacket prepare_call(std::uint32_t serial = 9) {
  return call(kMigratePrepare, serial, encode(PrepareCall{}));
}

inline RpcPacket finish_call(bool cancelled, std::uint32_t serial = 10) {
  FinishCall finish;
  finish.cancelled = cancelled;
  return call(kMigrateFinish, serial, encode(finish));
}

inline RpcPacket prepare_reply(std::uint32_t serial = 9) {
  return make_reply({.procedure = kMigratePrepare, .serial = serial}, encode(PrepareReply{}));
}

inline RpcPacket finish_reply(std::uint32_t serial = 10, const std::string& name = kVmName) {
  return make_reply({.procedure = kMigrateFinish, .serial = serial},
                    encode(FinishReply{name, *parse_uuid(kVmUuid), 7, ""}));
}

inline RpcPacket error_reply(std::int32_t procedure, std::uint32_t serial) {
  return make_error_reply({.procedure = procedure, .serial = serial}, {9, 10, "no luck", 2});
}

inline RpcPacket ping() {
  return make_packet({.program = kProgramKeepalive, .procedure = 1, .type = RpcType::kMessage}, {});
}

inline std::string packet_word(const RpcPacket& packet) {
  if (is_keepalive(packet.header)) return is_ping(packet.header) ? "ping" : "pong";
  std::string word = packet.header.type == RpcType::kCall ? "call" : "reply";
  if (packet.header.status == RpcStatus::kError) word = "error";
  return word + std::to_string(packet.header.procedure);
}

struct Wording {
  std::string operator()(const SendToLibvirt& a) const {
    return "libvirt:" + packet_word(a.packet);
  }
  std::string operator()(const SendToPeer& a) const { return "peer:" + packet_word(a.packet); }
  std::string operator()(const SendNote& a) const {
    constexpr const char* kNames[] = {"refused", "libvirt_closed", "undecided", "closed"};
    return std::string("note:") + kNames[static_cast<int>(a.note.kind)];
  }
  std::string operator()(const CloseLibvirt&) const { return "close"; }
  std::string operator()(const ConnectLibvirt&) const { return "connect?"; }
  std::string operator()(const RecordSwitching&) const { return "switching?"; }
  std::string operator()(const RecordSource& a) const {
    return "record:" + std::string(source_state_name(a.state));
  }
  std::string operator()(const Decide& a) const {
    return std::string(decision_name(a.wanted)) + "?";
  }
  std::string operator()(const RecordOutcome& a) const {
    return a.outcome.ok ? "outcome:ok" : "outcome:error";
  }
  std::string operator()(const TakeFence&) const { return "fence?"; }
  std::string operator()(const LiftFence&) const { return "lift"; }
  std::string operator()(const TellMover& a) const {
    constexpr const char* kNames[] = {"standstill", "finish_forwarded", "settled"};
    return std::string("mover:") + kNames[static_cast<int>(a.news)];
  }
  std::string operator()(const Emit& a) const {
    constexpr const char* kNames[] = {"policy_refused", "prepared", "switching", "finish_seen",
                                      "finish_replied", "in_doubt", "ended"};
    constexpr const char* kOutcomes[] = {"runs", "not_run", "aborted", "in_doubt"};
    std::string word = std::string("event:") + kNames[static_cast<int>(a.event.kind)];
    if (a.event.kind == GateEventKind::kEnded) {
      word += std::string("=") + kOutcomes[static_cast<int>(a.event.outcome)];
    }
    return word;
  }
  std::string operator()(const Exit&) const { return "exit"; }
};

// "record:kept close exit"
inline std::string words(const Actions& actions) {
  std::string text;
  for (const Action& action : actions) {
    if (!text.empty()) text += ' ';
    text += std::visit(Wording{}, action);
  }
  return text;
}

inline std::string words(const Result<Actions>& actions) {
  return actions ? words(*actions) : std::string(error_code_name(actions.error().code));
}

}  // namespace drover::gate::testing
