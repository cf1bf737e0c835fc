// SPDX-License-Identifier: Apache-2.0
// The RPC firewall: which of libvirt's calls may pass, as data (docs/gate.md, "Allow-list"). Both
// gates use it: the source's on what its libvirtd sends, the destination's on what the other host
// sends. Values; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "gate/rpc_message.h"

namespace drover::gate {

inline constexpr std::int32_t kConnectOpen = 1;
inline constexpr std::int32_t kConnectClose = 2;
inline constexpr std::int32_t kConnectSupportsFeature = 60;
inline constexpr std::int32_t kAuthList = 66;
inline constexpr std::int32_t kMigratePrepare = 303;
inline constexpr std::int32_t kMigrateFinish = 306;
inline constexpr std::int32_t kRegisterCloseCallback = 360;
inline constexpr std::int32_t kUnregisterCloseCallback = 361;
inline constexpr std::int32_t kConnectionClosedEvent = 362;

struct AllowedCall {
  std::int32_t procedure;
  std::string_view name;
};
std::span<const AllowedCall> allowed_calls();

enum class CallVerdict {
  kPass,
  kPing,    // answer it here
  kIgnore,  // a PONG
  kRefuse,  // answer with an error; the connection goes on
  kBreak,   // not a call at all: close the connection
};

struct CallJudgement {
  CallVerdict verdict = CallVerdict::kBreak;
  std::string why;  // for kRefuse and kBreak
};

// A packet from the side that calls: the source's libvirtd.
CallJudgement judge_call(const RpcPacket& packet);

// "PREPARE", "CONNECT_OPEN", or "procedure 17".
std::string procedure_name(std::int32_t procedure);

}  // namespace drover::gate
