// SPDX-License-Identifier: Apache-2.0
// The watch on what a guest writes at its destination: a dirty bitmap in QEMU for each of its
// disks, begun while the guest stands still between the end of its migration and its first
// instruction there (docs/proof.md, "As read back"). Commands are QMP's, as libvirt's RPC carries
// them. Values; any thread. What QEMU answers is not trusted to have any shape.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "gate/migration_calls.h"
#include "gate/rpc_message.h"

namespace drover::gate {

inline constexpr std::uint32_t kProgramQemu = 0x20008087;
inline constexpr std::int32_t kMonitorCommand = 1;     // QEMU_PROC_DOMAIN_MONITOR_COMMAND
inline constexpr std::int32_t kDomainResume = 28;      // REMOTE_PROC_DOMAIN_RESUME
inline constexpr std::uint32_t kFlagPaused = 1u << 5;  // VIR_MIGRATE_PAUSED

// Bytes of the disk that a bit stands for: a block of content/.
inline constexpr std::uint64_t kWatchGranularity = 4096;

// Name of the bitmaps of a move.
std::string watch_name(std::string_view move);

std::string list_disks_command();
// One transaction, so all begin or none does. kHypervisor: `answer`, that of list_disks_command(),
// names no disk that can be written.
Result<std::string> begin_watch_command(std::string_view answer, std::string_view move);
// What QEMU answered says that it was done.
Status check_answer(std::string_view answer);

// Calls about the domain that FINISH's reply names.
RpcPacket monitor_call(const FinishReply& domain, std::string_view command, std::uint32_t serial);
RpcPacket resume_call(const FinishReply& domain, std::uint32_t serial);
// The text in a reply to monitor_call(). kHypervisor: libvirt's error.
Result<std::string> monitor_answer(const RpcPacket& reply);

// The same FINISH, but libvirt shall not start the guest. False: it would not have anyway.
// REQUIRES: decode_finish_call() took it.
bool hold_guest(RpcPacket& finish);

}  // namespace drover::gate
