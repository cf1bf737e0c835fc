// SPDX-License-Identifier: Apache-2.0
// nlohmann trees as values of the model, for .cpp files. These stand before class Fields, whose
// templates call them.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "json/model_json.h"
#include "model/access.h"
#include "model/archive.h"
#include "model/evacuation.h"
#include "model/fit.h"

namespace drover::json {

// Reads one value of the model out of a tree; `path` names it in errors.
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, Vm& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, DiskLayer& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              Checkpoint& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, Disk& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, HostFacts& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              NetworkFacts& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              HostAddress& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, LinkFacts& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, PoolFacts& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              HostSettings& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              PeerRights& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, Peer& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, Finding& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              DiskPlacement& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              FilePlacement& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              NetworkPair& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              StrategyForecast& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, Forecast& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, Plan& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              MoveRequest& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, ItemPlace& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              InterfacePlace& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              PhaseTimes& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              TransferProgress& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              MemoryPass& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, Progress& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              TransferKinds& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, Proof& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              NetworkTraffic& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, Report& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              QueuePlace& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, Attempt& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              Resolution& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              InterfaceSigns& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              GuestSigns& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              HealthBefore& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, Health& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, Move& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              QuarantinedDisk& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, Error& out);

Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              SettingChange& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, HostEntry& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, Token& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              UnreachableHost& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, SessionVm& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              HostChoice& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, PlacedVm& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, Evacuee& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              Evacuation& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              ArchiveItem& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, Archive& out);

Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              AppliedFix& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              MobilityPlace& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              MobilityChange& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              VmMobility& out);

// Names of enumerations. False: unknown name.
bool decode_name(std::string_view text, VmState& out);
bool decode_name(std::string_view text, DiskKind& out);
bool decode_name(std::string_view text, DiskDevice& out);
bool decode_name(std::string_view text, FindingLevel& out);
bool decode_name(std::string_view text, SourceDisposal& out);
bool decode_name(std::string_view text, PeerState& out);
bool decode_name(std::string_view text, Retry& out);
bool decode_name(std::string_view text, SettingChange::Op& out);
bool decode_name(std::string_view text, Phase& out);
bool decode_name(std::string_view text, MoveState& out);
bool decode_name(std::string_view text, Runner& out);
bool decode_name(std::string_view text, Health::State& out);
bool decode_name(std::string_view text, Performance& out);
bool decode_name(std::string_view text, Convergence& out);
bool decode_name(std::string_view text, DailyWindow& out);
bool decode_name(std::string_view text, MoveLimit& out);
bool decode_name(std::string_view text, Verification& out);
bool decode_name(std::string_view text, Media& out);
bool decode_name(std::string_view text, Allocation& out);
bool decode_name(std::string_view text, MoveKind& out);
bool decode_name(std::string_view text, ErrorCode& out);
bool decode_name(std::string_view text, EvacuationKind& out);
bool decode_name(std::string_view text, EvacuationState& out);
bool decode_name(std::string_view text, EvacueeState& out);
bool decode_name(std::string_view text, ArchiveKind& out);
bool decode_name(std::string_view text, ImportMode& out);
bool decode_name(std::string_view text, ArchiveState& out);

}  // namespace drover::json
