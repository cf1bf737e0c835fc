// SPDX-License-Identifier: Apache-2.0
// The model as nlohmann trees, for .cpp files that put them into larger documents (api/, client/).
// Never include this from a header. Pure functions; any thread.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "json/fields.h"
#include "json/model_json.h"

namespace drover::json {

nlohmann::json encode(const Vm& value);
nlohmann::json encode(const DiskLayer& value);
nlohmann::json encode(const Checkpoint& value);
nlohmann::json encode(const Disk& value);
nlohmann::json encode(const HostAddress& value);
nlohmann::json encode(const LinkFacts& value);
nlohmann::json encode(const HostFacts& value);
nlohmann::json encode(const HostSettings& value);
nlohmann::json encode(const PeerRights& value);
nlohmann::json encode(const Peer& value);
nlohmann::json encode(const Finding& value);
nlohmann::json encode(const DiskPlacement& value);
nlohmann::json encode(const FilePlacement& value);
nlohmann::json encode(const NetworkPair& value);
nlohmann::json encode(const StrategyForecast& value);
nlohmann::json encode(const Forecast& value);
nlohmann::json encode(const Plan& value);
nlohmann::json encode(const MoveRequest& value);
nlohmann::json encode(const ItemPlace& value);
nlohmann::json encode(const InterfacePlace& value);
nlohmann::json encode(const PhaseTimes& value);
nlohmann::json encode(const TransferProgress& value);
nlohmann::json encode(const MemoryPass& value);
nlohmann::json encode(const Progress& value);
nlohmann::json encode(const TransferKinds& value);
nlohmann::json encode(const Proof& value);
nlohmann::json encode(const NetworkTraffic& value);
nlohmann::json encode(const Report& value);
nlohmann::json encode(const QueuePlace& value);
nlohmann::json encode(const Attempt& value);
nlohmann::json encode(const Resolution& value);
nlohmann::json encode(const InterfaceSigns& value);
nlohmann::json encode(const GuestSigns& value);
nlohmann::json encode(const HealthBefore& value);
nlohmann::json encode(const Health& value);
nlohmann::json encode(const Move& value);
nlohmann::json encode(const QuarantinedDisk& value);
nlohmann::json encode(const Error& value);
nlohmann::json encode(const SettingChange& value);
nlohmann::json encode(const HostEntry& value);  // the Peer's members and three more
nlohmann::json encode(const InviteRequest& value);
nlohmann::json encode(const Invite& value);
nlohmann::json encode(const HostAddition& value);
nlohmann::json encode(const Token& value);
nlohmann::json encode(const NewToken& value);
nlohmann::json encode(const UnreachableHost& value);
nlohmann::json encode(const SessionVm& value);
nlohmann::json encode(const VmListing& value);
nlohmann::json encode(const ServerVersion& value);
nlohmann::json encode(const HostChoice& value);
nlohmann::json encode(const PlacedVm& value);
nlohmann::json encode(const BestChoice& value);
nlohmann::json encode(const Evacuee& value);
nlohmann::json encode(const Evacuation& value);
nlohmann::json encode(const ArchiveItem& value);
nlohmann::json encode(const Archive& value);

nlohmann::json encode(const AppliedFix& value);
nlohmann::json encode(const CpuCompat& value);
nlohmann::json encode(const MobilityPlace& value);
nlohmann::json encode(const MobilityChange& value);
nlohmann::json encode(const VmMobility& value);
nlohmann::json encode(const Mobility& value);

template <typename T>
nlohmann::json encode(const std::vector<T>& values) {
  auto array = nlohmann::json::array();
  for (const auto& value : values) array.push_back(encode(value));
  return array;
}

// Names of enumerations that model/ does not name itself.
std::string_view name_of(VmState value);
std::string_view name_of(DiskKind value);
std::string_view name_of(DiskDevice value);
std::string_view name_of(FindingLevel value);
std::string_view name_of(SourceDisposal value);
std::string_view name_of(PeerState value);
std::string_view name_of(Retry value);

}  // namespace drover::json
