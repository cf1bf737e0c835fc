// SPDX-License-Identifier: Apache-2.0
// Trees to text and back, for every value of the model.
#include "json/model_json.h"

#include <fmt/core.h>

#include "json/encode.h"

namespace drover::json {
namespace {

template <typename T>
Result<T> read_one(std::string_view text, Unknown unknown) {
  ASSIGN_OR_RETURN(const nlohmann::json tree, parse(text));
  T value{};
  RETURN_IF_ERROR(decode(tree, "", unknown, value));
  return value;
}

template <typename T>
Result<std::vector<T>> read_list(std::string_view text, Unknown unknown) {
  ASSIGN_OR_RETURN(const nlohmann::json tree, parse(text));
  if (!tree.is_array()) return fail(ErrorCode::kProtocol, "The text must be a JSON array.");
  std::vector<T> values;
  for (std::size_t i = 0; i < tree.size(); ++i) {
    T value{};
    RETURN_IF_ERROR(decode(tree[i], fmt::format("[{}]", i), unknown, value));
    values.push_back(std::move(value));
  }
  return values;
}

}  // namespace

std::string to_json(const Vm& value) { return dump(encode(value)); }
std::string to_json(const Disk& value) { return dump(encode(value)); }
std::string to_json(const HostFacts& value) { return dump(encode(value)); }
std::string to_json(const HostSettings& value) { return dump(encode(value)); }
std::string to_json(const Peer& value) { return dump(encode(value)); }
std::string to_json(const Finding& value) { return dump(encode(value)); }
std::string to_json(const Plan& value) { return dump(encode(value)); }
std::string to_json(const MoveRequest& value) { return dump(encode(value)); }
std::string to_json(const Move& value) { return dump(encode(value)); }
std::string to_json(const Progress& value) { return dump(encode(value)); }
std::string to_json(const Report& value) { return dump(encode(value)); }
std::string to_json(const QuarantinedDisk& value) { return dump(encode(value)); }
std::string to_json(const Error& value) { return dump(encode(value)); }
std::string to_json(const GuestSigns& value) { return dump(encode(value)); }
std::string to_json(const std::vector<Vm>& values) { return dump(encode(values)); }
std::string to_json(const std::vector<Disk>& values) { return dump(encode(values)); }
std::string to_json(const std::vector<Peer>& values) { return dump(encode(values)); }
std::string to_json(const std::vector<Finding>& values) { return dump(encode(values)); }
std::string to_json(const std::vector<Plan>& values) { return dump(encode(values)); }
std::string to_json(const std::vector<Move>& values) { return dump(encode(values)); }
std::string to_json(const std::vector<QuarantinedDisk>& values) { return dump(encode(values)); }

Result<Vm> vm_from_json(std::string_view text, Unknown unknown) {
  return read_one<Vm>(text, unknown);
}
Result<Disk> disk_from_json(std::string_view text, Unknown unknown) {
  return read_one<Disk>(text, unknown);
}
Result<HostFacts> host_facts_from_json(std::string_view text, Unknown unknown) {
  return read_one<HostFacts>(text, unknown);
}
Result<HostSettings> host_settings_from_json(std::string_view text, Unknown unknown) {
  return read_one<HostSettings>(text, unknown);
}
Result<Peer> peer_from_json(std::string_view text, Unknown unknown) {
  return read_one<Peer>(text, unknown);
}
Result<Finding> finding_from_json(std::string_view text, Unknown unknown) {
  return read_one<Finding>(text, unknown);
}
Result<Plan> plan_from_json(std::string_view text, Unknown unknown) {
  return read_one<Plan>(text, unknown);
}
Result<MoveRequest> move_request_from_json(std::string_view text, Unknown unknown) {
  return read_one<MoveRequest>(text, unknown);
}
Result<Move> move_from_json(std::string_view text, Unknown unknown) {
  return read_one<Move>(text, unknown);
}
Result<Progress> progress_from_json(std::string_view text, Unknown unknown) {
  return read_one<Progress>(text, unknown);
}
Result<Report> report_from_json(std::string_view text, Unknown unknown) {
  return read_one<Report>(text, unknown);
}
Result<QuarantinedDisk> quarantined_disk_from_json(std::string_view text, Unknown unknown) {
  return read_one<QuarantinedDisk>(text, unknown);
}
Result<Error> error_from_json(std::string_view text, Unknown unknown) {
  return read_one<Error>(text, unknown);
}
Result<GuestSigns> guest_signs_from_json(std::string_view text, Unknown unknown) {
  return read_one<GuestSigns>(text, unknown);
}
Result<std::vector<Vm>> vms_from_json(std::string_view text, Unknown unknown) {
  return read_list<Vm>(text, unknown);
}
Result<std::vector<Disk>> disks_from_json(std::string_view text, Unknown unknown) {
  return read_list<Disk>(text, unknown);
}
Result<std::vector<Peer>> peers_from_json(std::string_view text, Unknown unknown) {
  return read_list<Peer>(text, unknown);
}
Result<std::vector<Finding>> findings_from_json(std::string_view text, Unknown unknown) {
  return read_list<Finding>(text, unknown);
}
Result<std::vector<Plan>> plans_from_json(std::string_view text, Unknown unknown) {
  return read_list<Plan>(text, unknown);
}
Result<std::vector<Move>> moves_from_json(std::string_view text, Unknown unknown) {
  return read_list<Move>(text, unknown);
}
Result<std::vector<QuarantinedDisk>> quarantined_disks_from_json(std::string_view text,
                                                                 Unknown unknown) {
  return read_list<QuarantinedDisk>(text, unknown);
}

}  // namespace drover::json
