// SPDX-License-Identifier: Apache-2.0
// Names of enumerations in JSON.
#include "json/encode.h"
#include "model/name_table.h"

namespace drover::json {
namespace {

template <typename T, std::size_t N>
bool find_in(const NameTable<T, N>& table, std::string_view text, T& out) {
  const auto found = value_in(table, text);
  if (found) out = *found;
  return found.has_value();
}

constexpr NameTable<VmState, 6> kVmStates{{{VmState::kRunning, "running"},
                                           {VmState::kPaused, "paused"},
                                           {VmState::kOff, "off"},
                                           {VmState::kIncoming, "incoming"},
                                           {VmState::kCrashed, "crashed"},
                                           {VmState::kOther, "other"}}};
constexpr NameTable<DiskKind, 5> kDiskKinds{{{DiskKind::kFile, "file"},
                                             {DiskKind::kBlock, "block"},
                                             {DiskKind::kVolume, "volume"},
                                             {DiskKind::kNetwork, "network"},
                                             {DiskKind::kOther, "other"}}};
constexpr NameTable<DiskDevice, 4> kDiskDevices{{{DiskDevice::kDisk, "disk"},
                                                 {DiskDevice::kCdrom, "cdrom"},
                                                 {DiskDevice::kFloppy, "floppy"},
                                                 {DiskDevice::kLun, "lun"}}};
constexpr NameTable<FindingLevel, 3> kLevels{{{FindingLevel::kBlocker, "blocker"},
                                              {FindingLevel::kWarning, "warning"},
                                              {FindingLevel::kNote, "note"}}};
constexpr NameTable<SourceDisposal, 3> kDisposals{{{SourceDisposal::kQuarantine, "quarantine"},
                                                   {SourceDisposal::kDeleteNow, "delete-now"},
                                                   {SourceDisposal::kKeepSource, "keep-source"}}};
constexpr NameTable<PeerState, 2> kPeerStates{
    {{PeerState::kPaired, "paired"}, {PeerState::kWaiting, "waiting"}}};
constexpr NameTable<Retry, 3> kRetries{
    {{Retry::kNever, "never"}, {Retry::kNow, "now"}, {Retry::kLater, "later"}}};

template <typename T>
bool take(std::optional<T> value, T& out) {
  if (value) out = *value;
  return value.has_value();
}

}  // namespace

std::string_view name_of(VmState value) { return name_in(kVmStates, value); }
std::string_view name_of(DiskKind value) { return name_in(kDiskKinds, value); }
std::string_view name_of(DiskDevice value) { return name_in(kDiskDevices, value); }
std::string_view name_of(FindingLevel value) { return name_in(kLevels, value); }
std::string_view name_of(SourceDisposal value) { return name_in(kDisposals, value); }
std::string_view name_of(PeerState value) { return name_in(kPeerStates, value); }
std::string_view name_of(Retry value) { return name_in(kRetries, value); }

bool decode_name(std::string_view text, VmState& out) { return find_in(kVmStates, text, out); }
bool decode_name(std::string_view text, DiskKind& out) { return find_in(kDiskKinds, text, out); }
bool decode_name(std::string_view text, DiskDevice& out) {
  return find_in(kDiskDevices, text, out);
}
bool decode_name(std::string_view text, FindingLevel& out) { return find_in(kLevels, text, out); }
bool decode_name(std::string_view text, SourceDisposal& out) {
  return find_in(kDisposals, text, out);
}
bool decode_name(std::string_view text, PeerState& out) { return find_in(kPeerStates, text, out); }
bool decode_name(std::string_view text, Retry& out) { return find_in(kRetries, text, out); }
bool decode_name(std::string_view text, Phase& out) { return take(phase_from_name(text), out); }
bool decode_name(std::string_view text, MoveState& out) {
  return take(move_state_from_name(text), out);
}
bool decode_name(std::string_view text, Runner& out) { return take(runner_from_name(text), out); }
bool decode_name(std::string_view text, Health::State& out) {
  return take(health_state_from_name(text), out);
}
bool decode_name(std::string_view text, Verification& out) {
  return take(verification_from_name(text), out);
}

bool decode_name(std::string_view text, Media& out) { return take(media_from_name(text), out); }
bool decode_name(std::string_view text, Allocation& out) {
  return take(allocation_from_name(text), out);
}

bool decode_name(std::string_view text, MoveKind& out) {
  return take(move_kind_from_name(text), out);
}

bool decode_name(std::string_view text, Performance& out) {
  return take(performance_from_name(text), out);
}

bool decode_name(std::string_view text, DailyWindow& out) {
  const auto parsed = parse_window(text);
  if (parsed) out = *parsed;
  return parsed.has_value();
}

bool decode_name(std::string_view text, Convergence& out) {
  const auto parsed = parse_convergence(text);
  if (parsed) out = *parsed;
  return parsed.has_value();
}

// Of a setting: the text says which.
bool decode_name(std::string_view text, MoveLimit& out) {
  const auto parsed = parse_move_limit("a limit", text);
  if (parsed) out = *parsed;
  return parsed.has_value();
}

// A code of a newer version is carried as INTERNAL rather than refused: the message still says what
// happened.
bool decode_name(std::string_view text, ErrorCode& out) {
  out = error_code_from_name(text);
  return true;
}

}  // namespace drover::json
