// SPDX-License-Identifier: Apache-2.0
#include "json/fit_json.h"

#include "json/optional_members.h"

namespace drover::json {
namespace {

using Json = nlohmann::json;

}  // namespace

Json encode(const AppliedFix& value) {
  Json out{{"id", value.id},
           {"code", value.code},
           {"object", value.object},
           {"host", value.host},
           {"vm_uuid", value.vm_uuid},
           {"vm_name", value.vm_name},
           {"done", value.done},
           {"undo", value.undo},
           {"before", value.before},
           {"after", value.after},
           {"requested_by", value.requested_by},
           {"applied_at", time_text(value.applied_at)}};
  put_time(out, "undone_at", value.undone_at);
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, AppliedFix& out) {
  return Fields(from, path, unknown)
      .need("id", out.id)
      .may("code", out.code)
      .may("object", out.object)
      .may("host", out.host)
      .may("vm_uuid", out.vm_uuid)
      .may("vm_name", out.vm_name)
      .may("done", out.done)
      .may("undo", out.undo)
      .may("before", out.before)
      .may("after", out.after)
      .may("requested_by", out.requested_by)
      .may("applied_at", out.applied_at)
      .may("undone_at", out.undone_at)
      .finish();
}

Json encode(const CpuCompat& value) {
  return {{"vm_uuid", value.vm_uuid}, {"vm_name", value.vm_name},   {"hosts", value.hosts},
          {"now", value.now},         {"model", value.model},       {"features", value.features},
          {"lost", value.lost},       {"as_it_is", value.as_it_is}, {"running", value.running},
          {"fix", value.fix}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, CpuCompat& out) {
  return Fields(from, path, unknown)
      .need("vm_uuid", out.vm_uuid)
      .may("vm_name", out.vm_name)
      .may("hosts", out.hosts)
      .may("now", out.now)
      .may("model", out.model)
      .may("features", out.features)
      .may("lost", out.lost)
      .may("as_it_is", out.as_it_is)
      .may("running", out.running)
      .may("fix", out.fix)
      .finish();
}

Json encode(const MobilityPlace& value) {
  return {{"host", value.host},
          {"kind", move_kind_name(value.kind)},
          {"possible", value.possible},
          {"warnings", value.warnings},
          {"blockers", encode(value.blockers)},
          {"text", value.text}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, MobilityPlace& out) {
  return Fields(from, path, unknown)
      .need("host", out.host)
      .may("kind", out.kind)
      .may("possible", out.possible)
      .may("warnings", out.warnings)
      .may("blockers", out.blockers)
      .may("text", out.text)
      .finish();
}

Json encode(const MobilityChange& value) {
  return {{"finding", encode(value.finding)}, {"hosts", value.hosts}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, MobilityChange& out) {
  return Fields(from, path, unknown).need("finding", out.finding).may("hosts", out.hosts).finish();
}

Json encode(const VmMobility& value) {
  Json out{{"vm_uuid", value.vm_uuid},    {"vm_name", value.vm_name},
           {"host", value.host},          {"state", name_of(value.state)},
           {"move_id", value.move_id},    {"places", encode(value.places)},
           {"hosts_now", value.hosts_now}};
  if (value.change) out["change"] = encode(*value.change);
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, VmMobility& out) {
  return Fields(from, path, unknown)
      .need("vm_uuid", out.vm_uuid)
      .may("vm_name", out.vm_name)
      .may("host", out.host)
      .may("state", out.state)
      .may("move_id", out.move_id)
      .may("places", out.places)
      .may("hosts_now", out.hosts_now)
      .may("change", out.change)
      .finish();
}

Json encode(const Mobility& value) {
  return {{"vms", encode(value.vms)}, {"unreachable", encode(value.unreachable)}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Mobility& out) {
  return Fields(from, path, unknown)
      .need("vms", out.vms)
      .may("unreachable", out.unreachable)
      .finish();
}

std::string to_json(const AppliedFix& value) { return dump(encode(value)); }

Result<AppliedFix> applied_fix_from_json(std::string_view text, Unknown unknown) {
  ASSIGN_OR_RETURN(const Json tree, parse(text));
  AppliedFix value;
  RETURN_IF_ERROR(decode(tree, "", unknown, value));
  return value;
}

}  // namespace drover::json
