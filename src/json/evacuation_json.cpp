// SPDX-License-Identifier: Apache-2.0
#include "json/evacuation_json.h"

#include "json/optional_members.h"

namespace drover::json {
namespace {

using Json = nlohmann::json;

template <typename T>
bool take(std::optional<T> value, T& out) {
  if (value) out = *value;
  return value.has_value();
}

Json encode_request(const EvacuationRequest& value) {
  return {{"kind", evacuation_kind_name(value.kind)},
          {"to", value.to},
          {"accepted_codes", value.accepted_codes}};
}

Json without_user(const MoveRequest& request) {
  Json out = encode(request);
  for (const char* name : {"requested_by", "passed", "continues"}) out.erase(name);
  return out;
}

}  // namespace

bool decode_name(std::string_view text, EvacuationKind& out) {
  return take(evacuation_kind_from_name(text), out);
}
bool decode_name(std::string_view text, EvacuationState& out) {
  return take(evacuation_state_from_name(text), out);
}
bool decode_name(std::string_view text, EvacueeState& out) {
  return take(evacuee_state_from_name(text), out);
}

Json encode(const HostChoice& value) {
  return {{"host", value.host},
          {"possible", value.possible},
          {"load_percent", value.load_percent},
          {"forecast_ms", value.forecast.count()},
          {"why", value.why},
          {"obstacles", encode(value.obstacles)}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, HostChoice& out) {
  return Fields(from, path, unknown)
      .need("host", out.host)
      .need("possible", out.possible)
      .may("load_percent", out.load_percent)
      .may("forecast_ms", out.forecast)
      .may("why", out.why)
      .may("obstacles", out.obstacles)
      .finish();
}

Status decode(const Json& from, const std::string& path, Unknown unknown, PlacedVm& out) {
  return Fields(from, path, unknown)
      .need("vm", out.vm)
      .need("destination", out.destination)
      .finish();
}

Json encode(const PlacedVm& value) {
  return {{"vm", value.vm}, {"destination", value.destination}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, BestRequest& out) {
  return Fields(from, path, unknown)
      .need("request", out.request)
      .may("among", out.among)
      .may("after", out.after)
      .finish();
}

Json encode(const BestChoice& value) {
  Json out{{"hosts", encode(value.hosts)}};
  if (value.plan) out["plan"] = encode(*value.plan);
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, BestChoice& out) {
  return Fields(from, path, unknown).need("hosts", out.hosts).may("plan", out.plan).finish();
}

Json encode(const Evacuee& value) {
  Json out{{"uuid", value.uuid},
           {"name", value.name},
           {"source", value.source},
           {"destination", value.destination},
           {"state", evacuee_state_name(value.state)},
           {"move", value.move},
           {"attempts", value.attempts},
           {"why", value.why},
           {"fixes", value.fixes},
           {"forecast_bytes", value.bytes.bytes}};
  put_span(out, "starts_in_ms", value.starts_in);
  put_span(out, "ends_in_ms", value.ends_in);
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Evacuee& out) {
  return Fields(from, path, unknown)
      .need("uuid", out.uuid)
      .need("name", out.name)
      .need("source", out.source)
      .may("destination", out.destination)
      .need("state", out.state)
      .may("move", out.move)
      .may("attempts", out.attempts)
      .may("why", out.why)
      .may("fixes", out.fixes)
      .may("forecast_bytes", out.bytes)
      .may("starts_in_ms", out.starts_in)
      .may("ends_in_ms", out.ends_in)
      .finish();
}

Status decode(const Json& from, const std::string& path, Unknown unknown, EvacuationRequest& out) {
  return Fields(from, path, unknown)
      .may("kind", out.kind)
      .may("to", out.to)
      .may("accepted_codes", out.accepted_codes)
      .finish();
}

Json encode(const Evacuation& value) {
  Json out = encode_request(value.request);
  out["id"] = value.id;
  out["host"] = value.host;
  out["state"] = evacuation_state_name(value.state);
  out["requested_by"] = value.request.requested_by;
  out["keeps_out"] = value.keeps_out;
  out["cancel_asked"] = value.cancel_asked;
  out["vms"] = encode(value.vms);
  out["troubles"] = value.troubles;
  out["events"] = value.events;
  out["explanation"] = value.explanation;
  out["started_at"] = time_text(value.started_at);
  out["planned_at"] = time_text(value.planned_at);
  put_time(out, "ended_at", value.ended_at);
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Evacuation& out) {
  return Fields(from, path, unknown)
      .need("id", out.id)
      .need("host", out.host)
      .need("kind", out.request.kind)
      .may("to", out.request.to)
      .may("accepted_codes", out.request.accepted_codes)
      .may("requested_by", out.request.requested_by)
      .need("state", out.state)
      .may("keeps_out", out.keeps_out)
      .may("cancel_asked", out.cancel_asked)
      .need("vms", out.vms)
      .may("troubles", out.troubles)
      .may("events", out.events)
      .may("explanation", out.explanation)
      .need("started_at", out.started_at)
      .may("planned_at", out.planned_at)
      .may("ended_at", out.ended_at)
      .finish();
}

std::string to_json(const BestChoice& value) { return dump(encode(value)); }
std::string to_json(const Evacuation& value) { return dump(encode(value)); }

Result<Evacuation> evacuation_from_json(std::string_view text, Unknown unknown) {
  ASSIGN_OR_RETURN(const Json tree, parse(text));
  Evacuation value;
  RETURN_IF_ERROR(decode(tree, "", unknown, value));
  return value;
}

std::string request_body(const BestRequest& request) {
  return dump({{"request", without_user(request.request)},
               {"among", request.among},
               {"after", encode(request.after)}});
}

std::string request_body(const EvacuationRequest& request) { return dump(encode_request(request)); }

}  // namespace drover::json
