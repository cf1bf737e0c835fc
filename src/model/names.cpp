// SPDX-License-Identifier: Apache-2.0
// The stable names of the model's enumerations, as journal, API and CLI write them.
#include <fmt/core.h>

#include "model/host.h"
#include "model/move.h"
#include "model/name_table.h"
#include "model/performance.h"

namespace drover {
namespace {

// tests/model/handover.pml has the names of phases and states as well; tests/lint/model_names.py
// compares them.
constexpr NameTable<Phase, 9> kPhases{{
    {Phase::kPlan, "plan"},
    {Phase::kAdmit, "admit"},
    {Phase::kReserve, "reserve"},
    {Phase::kPrepare, "prepare"},
    {Phase::kCopyDisks, "copy-disks"},
    {Phase::kCopyMemory, "copy-memory"},
    {Phase::kSwitch, "switch"},
    {Phase::kVerify, "verify"},
    {Phase::kSettle, "settle"},
}};

constexpr NameTable<Performance, 3> kPerformances{{
    {Performance::kDirect, "direct"},
    {Performance::kCompress, "compress"},
    {Performance::kMultilink, "multilink"},
}};

constexpr NameTable<Media, 3> kMedia{{
    {Media::kEject, "eject"},
    {Media::kCopy, "copy"},
    {Media::kRequire, "require"},
}};

constexpr NameTable<Allocation, 2> kAllocations{{
    {Allocation::kThin, "thin"},
    {Allocation::kFull, "full"},
}};

constexpr NameTable<Verification, 3> kVerifications{{
    {Verification::kNone, "none"},
    {Verification::kAsSent, "as-sent"},
    {Verification::kReadBack, "read-back"},
}};

constexpr NameTable<MoveKind, 4> kMoveKinds{{
    {MoveKind::kLive, "live"},
    {MoveKind::kStorage, "storage"},
    {MoveKind::kQuick, "quick"},
    {MoveKind::kOffline, "offline"},
}};

constexpr NameTable<MoveState, 6> kStates{{
    {MoveState::kRunning, "running"},
    {MoveState::kDone, "done"},
    {MoveState::kFailed, "failed"},
    {MoveState::kCancelled, "cancelled"},
    {MoveState::kParked, "parked"},
    {MoveState::kRehearsed, "rehearsed"},
}};

constexpr std::array<std::pair<Health::State, std::string_view>, 4> kHealthStates{{
    {Health::State::kWatching, "watching"},
    {Health::State::kWell, "well"},
    {Health::State::kIll, "ill"},
    {Health::State::kUnknown, "unknown"},
}};

constexpr NameTable<Runner, 3> kRunners{{
    {Runner::kSource, "source"},
    {Runner::kDestination, "destination"},
    {Runner::kUnknown, "unknown"},
}};

}  // namespace

std::string_view phase_name(Phase phase) { return name_in(kPhases, phase); }
std::optional<Phase> phase_from_name(std::string_view name) { return value_in(kPhases, name); }
std::string_view move_state_name(MoveState state) { return name_in(kStates, state); }
std::optional<MoveState> move_state_from_name(std::string_view name) {
  return value_in(kStates, name);
}
std::string_view runner_name(Runner runner) { return name_in(kRunners, runner); }
std::optional<Runner> runner_from_name(std::string_view name) { return value_in(kRunners, name); }

std::string_view health_state_name(Health::State state) { return name_in(kHealthStates, state); }
std::optional<Health::State> health_state_from_name(std::string_view name) {
  return value_in(kHealthStates, name);
}

std::string version_text(Version version) {
  return fmt::format("{}.{}.{}", version / 1'000'000, version / 1'000 % 1'000, version % 1'000);
}

std::string_view performance_name(Performance performance) {
  return name_in(kPerformances, performance);
}
std::optional<Performance> performance_from_name(std::string_view name) {
  return value_in(kPerformances, name);
}

std::string_view media_name(Media media) { return name_in(kMedia, media); }
std::optional<Media> media_from_name(std::string_view name) { return value_in(kMedia, name); }

std::string_view allocation_name(Allocation allocation) {
  return name_in(kAllocations, allocation);
}
std::optional<Allocation> allocation_from_name(std::string_view name) {
  return value_in(kAllocations, name);
}

std::string_view verification_name(Verification level) { return name_in(kVerifications, level); }
std::optional<Verification> verification_from_name(std::string_view name) {
  return value_in(kVerifications, name);
}

std::string_view move_kind_name(MoveKind kind) { return name_in(kMoveKinds, kind); }
std::optional<MoveKind> move_kind_from_name(std::string_view name) {
  return value_in(kMoveKinds, name);
}

std::string_view vm_state_words(VmState state) {
  switch (state) {
    case VmState::kRunning:
      return "running";
    case VmState::kPaused:
      return "paused";
    case VmState::kOff:
      return "off";
    case VmState::kIncoming:
      return "arriving";
    case VmState::kCrashed:
      return "crashed";
    case VmState::kOther:
      break;
  }
  return "in another state";
}

Status check_parallel_connections(unsigned connections, Performance performance) {
  if (connections < kParallelConnectionsLeast || connections > kParallelConnectionsMost) {
    return fail(ErrorCode::kInvalidArgument,
                "QEMU's parallel connections are a number from {} to {}, not {}.",
                kParallelConnectionsLeast, kParallelConnectionsMost, connections);
  }
  if (performance == Performance::kDirect) return {};
  return fail(ErrorCode::kInvalidArgument,
              "QEMU's parallel connections go with performance direct, not {}: their pages are "
              "only passed on. Use --performance direct, or --performance multilink without them.",
              performance_name(performance));
}

Result<BytesPerSecond> parse_bandwidth(std::string_view text) {
  if (text == "off") return BytesPerSecond{};
  ASSIGN_OR_RETURN(const ByteCount count, parse_byte_count(text));
  if (count.bytes < kBandwidthLeast.value) {
    return fail(ErrorCode::kInvalidArgument,
                "A bandwidth of \"{}\" bytes a second is less than {}. Write 100M, or off.", text,
                to_text(kBandwidthLeast));
  }
  return BytesPerSecond{count.bytes};
}

std::string bandwidth_text(BytesPerSecond bandwidth) {
  return bandwidth.value == 0 ? "off" : to_text(bandwidth);
}

}  // namespace drover
