// SPDX-License-Identifier: Apache-2.0
// The model as JSON text, for journal, API and peers: the only place that knows the members' names.
// Sizes end in
// `_bytes`, times are RFC 3339 UTC with milliseconds, spans end in `_ms`. Pure functions; any
// thread. Parsing never throws: kProtocol with a sentence that names the member, e.g.
// "disks[0].kind: ...".
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/host.h"
#include "model/move.h"
#include "model/plan.h"
#include "model/vm.h"

namespace drover::json {

// What to do with members nobody here knows. Requests of users: refuse. Bodies of peers, which may
// be one version ahead, and our own journal after a downgrade: ignore.
enum class Unknown { kRefuse, kIgnore };

std::string to_json(const Vm& value);
std::string to_json(const Disk& value);
std::string to_json(const HostFacts& value);
std::string to_json(const HostSettings& value);
std::string to_json(const Peer& value);
std::string to_json(const Finding& value);
std::string to_json(const Plan& value);
std::string to_json(const MoveRequest& value);
std::string to_json(const Move& value);
std::string to_json(const Progress& value);
std::string to_json(const Report& value);
std::string to_json(const QuarantinedDisk& value);
std::string to_json(const Error& value);
std::string to_json(const GuestSigns& value);
// Arrays.
std::string to_json(const std::vector<Vm>& values);
std::string to_json(const std::vector<Disk>& values);
std::string to_json(const std::vector<Peer>& values);
std::string to_json(const std::vector<Finding>& values);
std::string to_json(const std::vector<Plan>& values);
std::string to_json(const std::vector<Move>& values);
std::string to_json(const std::vector<QuarantinedDisk>& values);

Result<Vm> vm_from_json(std::string_view text, Unknown unknown = Unknown::kRefuse);
Result<Disk> disk_from_json(std::string_view text, Unknown unknown = Unknown::kRefuse);
Result<HostFacts> host_facts_from_json(std::string_view text, Unknown unknown = Unknown::kRefuse);
Result<HostSettings> host_settings_from_json(std::string_view text,
                                             Unknown unknown = Unknown::kRefuse);
Result<Peer> peer_from_json(std::string_view text, Unknown unknown = Unknown::kRefuse);
Result<Finding> finding_from_json(std::string_view text, Unknown unknown = Unknown::kRefuse);
Result<Plan> plan_from_json(std::string_view text, Unknown unknown = Unknown::kRefuse);
Result<MoveRequest> move_request_from_json(std::string_view text,
                                           Unknown unknown = Unknown::kRefuse);
Result<Move> move_from_json(std::string_view text, Unknown unknown = Unknown::kRefuse);
Result<Progress> progress_from_json(std::string_view text, Unknown unknown = Unknown::kRefuse);
Result<Report> report_from_json(std::string_view text, Unknown unknown = Unknown::kRefuse);
Result<QuarantinedDisk> quarantined_disk_from_json(std::string_view text,
                                                   Unknown unknown = Unknown::kRefuse);
Result<Error> error_from_json(std::string_view text, Unknown unknown = Unknown::kRefuse);
Result<GuestSigns> guest_signs_from_json(std::string_view text, Unknown unknown = Unknown::kRefuse);
Result<std::vector<Vm>> vms_from_json(std::string_view text, Unknown unknown = Unknown::kRefuse);
Result<std::vector<Disk>> disks_from_json(std::string_view text,
                                          Unknown unknown = Unknown::kRefuse);
Result<std::vector<Peer>> peers_from_json(std::string_view text,
                                          Unknown unknown = Unknown::kRefuse);
Result<std::vector<Finding>> findings_from_json(std::string_view text,
                                                Unknown unknown = Unknown::kRefuse);
Result<std::vector<Plan>> plans_from_json(std::string_view text,
                                          Unknown unknown = Unknown::kRefuse);
Result<std::vector<Move>> moves_from_json(std::string_view text,
                                          Unknown unknown = Unknown::kRefuse);
Result<std::vector<QuarantinedDisk>> quarantined_disks_from_json(
    std::string_view text, Unknown unknown = Unknown::kRefuse);

using Time = std::chrono::system_clock::time_point;
// "2026-07-25T10:00:00.123Z".
std::string time_text(Time time);
// Takes any RFC 3339 time from 1700 to 2200, offsets too; fractions beyond nanoseconds are cut.
Result<Time> time_from_text(std::string_view text);

}  // namespace drover::json
