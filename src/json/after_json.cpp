// SPDX-License-Identifier: Apache-2.0
// Attempts, resolutions and health of a move: one encode and one decode each, side by side.
#include <limits>

#include <fmt/core.h>

#include "json/encode.h"

namespace drover::json {
namespace {

using Json = nlohmann::json;

// A clock may go wrong in either direction, by years.
Status read_ahead(const Json& from, const std::string& path, std::optional<std::int64_t>& out) {
  const auto found = from.find("clock_ahead_ms");
  if (found == from.end() || found->is_null()) return {};
  if (!found->is_number_integer() ||
      (found->is_number_unsigned() &&
       found->get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()})) {
    return fail(ErrorCode::kProtocol, "{}.clock_ahead_ms must be a whole number.", path);
  }
  out = found->get<std::int64_t>();
  return {};
}

}  // namespace

Json encode(const Attempt& value) {
  return {{"epoch", value.epoch},
          {"phase", value.phase},
          {"error", encode(value.error)},
          {"ended_at", time_text(value.ended_at)}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Attempt& out) {
  return Fields(from, path, unknown)
      .need("epoch", out.epoch)
      .may("phase", out.phase)
      .need("error", out.error)
      .need("ended_at", out.ended_at)
      .finish();
}

Json encode(const Resolution& value) {
  return {{"runs_on", value.runs_on},
          {"peer_is_lost", value.peer_is_lost},
          {"by", value.by},
          {"at", time_text(value.at)}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Resolution& out) {
  return Fields(from, path, unknown)
      .need("runs_on", out.runs_on)
      .may("peer_is_lost", out.peer_is_lost)
      .may("by", out.by)
      .need("at", out.at)
      .finish();
}

Json encode(const InterfaceSigns& value) {
  return {{"mac", value.mac},
          {"device", value.device},
          {"bridge", value.bridge},
          {"plugged", value.plugged},
          {"link_up", value.link_up},
          {"counted", value.counted},
          {"received_packets", value.received_packets},
          {"sent_packets", value.sent_packets}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, InterfaceSigns& out) {
  return Fields(from, path, unknown)
      .need("mac", out.mac)
      .may("device", out.device)
      .may("bridge", out.bridge)
      .may("plugged", out.plugged)
      .may("link_up", out.link_up)
      .may("counted", out.counted)
      .may("received_packets", out.received_packets)
      .may("sent_packets", out.sent_packets)
      .finish();
}

Json encode(const GuestSigns& value) {
  Json out{{"runs", value.runs},
           {"state", value.state},
           {"cpu_time_ns", value.cpu_time.count()},
           {"has_agent", value.has_agent},
           {"agent_answers", value.agent_answers},
           {"interfaces", encode(value.interfaces)}};
  if (value.clock_ahead_ms) out["clock_ahead_ms"] = *value.clock_ahead_ms;
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, GuestSigns& out) {
  std::uint64_t cpu_time = 0;
  Json ahead;
  RETURN_IF_ERROR(Fields(from, path, unknown)
                      .need("runs", out.runs)
                      .may("state", out.state)
                      .may("cpu_time_ns", cpu_time)
                      .may("has_agent", out.has_agent)
                      .may("agent_answers", out.agent_answers)
                      .may("interfaces", out.interfaces)
                      .may("clock_ahead_ms", ahead)
                      .finish());
  if (cpu_time > std::uint64_t{std::numeric_limits<std::int64_t>::max()})
    return fail(ErrorCode::kProtocol, "{}.cpu_time_ns is out of range.", path);
  out.cpu_time = std::chrono::nanoseconds(static_cast<std::int64_t>(cpu_time));
  return read_ahead(from, path, out.clock_ahead_ms);
}

Json encode(const HealthBefore& value) {
  Json out{{"cpu_went_on", value.cpu_went_on},
           {"agent_answered", value.agent_answered},
           {"plugged", value.plugged},
           {"received", value.received},
           {"sent", value.sent}};
  if (value.clock_ahead_ms) out["clock_ahead_ms"] = *value.clock_ahead_ms;
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, HealthBefore& out) {
  Json ahead;
  RETURN_IF_ERROR(Fields(from, path, unknown)
                      .may("cpu_went_on", out.cpu_went_on)
                      .may("agent_answered", out.agent_answered)
                      .may("plugged", out.plugged)
                      .may("received", out.received)
                      .may("sent", out.sent)
                      .may("clock_ahead_ms", ahead)
                      .finish());
  return read_ahead(from, path, out.clock_ahead_ms);
}

Json encode(const Health& value) {
  Json out{{"state", health_state_name(value.state)}, {"before", encode(value.before)},
           {"findings", encode(value.findings)},      {"text", value.text},
           {"since", time_text(value.since)},         {"until", time_text(value.until)}};
  if (value.first) out["first"] = encode(*value.first);
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Health& out) {
  return Fields(from, path, unknown)
      .need("state", out.state)
      .may("before", out.before)
      .may("first", out.first)
      .may("findings", out.findings)
      .may("text", out.text)
      .need("since", out.since)
      .need("until", out.until)
      .finish();
}

}  // namespace drover::json
