// SPDX-License-Identifier: Apache-2.0
// Requests, plans, their findings, and errors: one encode and one decode each, side by side.
#include "json/optional_members.h"

namespace drover::json {

using Json = nlohmann::json;

Json encode(const Error& value) {
  return {{"code", error_code_name(value.code)},
          {"retry", name_of(value.retry)},
          {"message", value.message},
          {"causes", value.causes}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Error& out) {
  return Fields(from, path, unknown)
      .need("code", out.code)
      .may("retry", out.retry)
      .need("message", out.message)
      .may("causes", out.causes)
      .finish();
}

Json encode(const Finding& value) {
  return {{"code", value.code},
          {"level", name_of(value.level)},
          {"object", value.object},
          {"what", value.what},
          {"why", value.why},
          {"fixes", value.fixes},
          {"appliable", value.appliable}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Finding& out) {
  return Fields(from, path, unknown)
      .need("code", out.code)
      .need("level", out.level)
      .may("object", out.object)
      .need("what", out.what)
      .may("why", out.why)
      .may("fixes", out.fixes)
      .may("appliable", out.appliable)
      .finish();
}

Json encode(const ItemPlace& value) { return {{"item", value.item}, {"place", value.place}}; }

Status decode(const Json& from, const std::string& path, Unknown unknown, ItemPlace& out) {
  return Fields(from, path, unknown).need("item", out.item).need("place", out.place).finish();
}

Json encode(const InterfacePlace& value) { return {{"from", value.from}, {"to", value.to}}; }

Status decode(const Json& from, const std::string& path, Unknown unknown, InterfacePlace& out) {
  return Fields(from, path, unknown).need("from", out.from).need("to", out.to).finish();
}

Json encode(const MoveRequest& value) {
  Json out{{"vm", value.vm},
           {"source", value.source},
           {"destination", value.destination},
           {"disks_to", value.disks_to},
           {"disposal", name_of(value.disposal)},
           {"bandwidth_bytes_per_second", value.bandwidth.value},
           {"flatten", value.flatten},
           {"references", value.references},
           {"verification", verification_name(value.verification)},
           {"keep_memory", value.keep_memory},
           {"measure", value.measure},
           {"hurry", value.hurry},
           {"rehearse", value.rehearse},
           {"priority", value.priority},
           {"accept_notes", value.accept_notes},
           {"accepted_codes", value.accepted_codes},
           {"requested_by", value.requested_by}};
  if (value.performance) out["performance"] = performance_name(*value.performance);
  if (value.parallel_connections != 0) out["parallel_connections"] = value.parallel_connections;
  if (value.convergence) out["convergence"] = convergence_text(*value.convergence);
  if (value.networks) out["networks"] = *value.networks;
  if (!value.interfaces.empty()) out["interfaces"] = encode(value.interfaces);
  if (!value.group.empty()) out["group"] = value.group;
  put_time(out, "begin_at", value.begin_at);
  if (value.window) out["window"] = window_text(*value.window);
  if (value.kind) out["kind"] = move_kind_name(*value.kind);
  if (value.media) out["media"] = media_name(*value.media);
  if (!value.items.empty()) out["items"] = encode(value.items);
  if (!value.format.empty()) out["format"] = value.format;
  if (value.allocation) out["allocation"] = allocation_name(*value.allocation);
  if (!value.candidates.empty()) out["candidates"] = value.candidates;
  if (!value.passed.empty()) out["passed"] = value.passed;
  if (!value.continues.empty()) out["continues"] = value.continues;
  if (value.retries) out["retries"] = *value.retries;
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, MoveRequest& out) {
  return Fields(from, path, unknown)
      .need("vm", out.vm)
      .may("source", out.source)
      .need("destination", out.destination)
      .may("disks_to", out.disks_to)
      .may("kind", out.kind)
      .may("items", out.items)
      .may("format", out.format)
      .may("allocation", out.allocation)
      .may("flatten", out.flatten)
      .may("media", out.media)
      .may("disposal", out.disposal)
      .may("performance", out.performance)
      .may("parallel_connections", out.parallel_connections)
      .may("bandwidth_bytes_per_second", out.bandwidth)
      .may("convergence", out.convergence)
      .may("references", out.references)
      .may("verification", out.verification)
      .may("networks", out.networks)
      .may("interfaces", out.interfaces)
      .may("group", out.group)
      .may("keep_memory", out.keep_memory)
      .may("measure", out.measure)
      .may("hurry", out.hurry)
      .may("rehearse", out.rehearse)
      .may("priority", out.priority)
      .may("begin_at", out.begin_at)
      .may("window", out.window)
      .may("candidates", out.candidates)
      .may("passed", out.passed)
      .may("continues", out.continues)
      .may("retries", out.retries)
      .may("accept_notes", out.accept_notes)
      .may("accepted_codes", out.accepted_codes)
      .may("requested_by", out.requested_by)
      .finish();
}

Json encode(const DiskPlacement& value) {
  Json out{{"target", value.target},
           {"source_path", value.source_path},
           {"destination_path", value.destination_path},
           {"format", value.format},
           {"virtual_size_bytes", value.virtual_size.bytes},
           {"allocated_bytes", value.allocated.bytes},
           {"cluster_size_bytes", value.cluster_size.bytes},
           {"shared", value.shared},
           {"source_pool", value.source_pool},
           {"destination_pool", value.destination_pool}};
  if (value.allocation) out["allocation"] = allocation_name(*value.allocation);
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, DiskPlacement& out) {
  return Fields(from, path, unknown)
      .need("target", out.target)
      .need("source_path", out.source_path)
      .need("destination_path", out.destination_path)
      .need("format", out.format)
      .need("virtual_size_bytes", out.virtual_size)
      .may("allocated_bytes", out.allocated)
      .may("cluster_size_bytes", out.cluster_size)
      .may("shared", out.shared)
      .may("allocation", out.allocation)
      .may("source_pool", out.source_pool)
      .may("destination_pool", out.destination_pool)
      .finish();
}

Json encode(const FilePlacement& value) {
  return {{"item", value.item},
          {"source_path", value.source_path},
          {"destination_path", value.destination_path},
          {"format", value.format},
          {"virtual_size_bytes", value.virtual_size.bytes},
          {"allocated_bytes", value.allocated.bytes},
          {"cluster_size_bytes", value.cluster_size.bytes},
          {"present", value.present},
          {"shared", value.shared}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, FilePlacement& out) {
  return Fields(from, path, unknown)
      .need("item", out.item)
      .need("source_path", out.source_path)
      .need("destination_path", out.destination_path)
      .need("format", out.format)
      .need("virtual_size_bytes", out.virtual_size)
      .may("allocated_bytes", out.allocated)
      .may("cluster_size_bytes", out.cluster_size)
      .may("present", out.present)
      .may("shared", out.shared)
      .finish();
}

Json encode(const NetworkPair& value) {
  return {{"network", value.network},
          {"source_address", value.source_address},
          {"destination_address", value.destination_address}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, NetworkPair& out) {
  return Fields(from, path, unknown)
      .need("network", out.network)
      .may("source_address", out.source_address)
      .need("destination_address", out.destination_address)
      .finish();
}

Json encode(const Plan& value) {
  Json out{{"id", value.id},
           {"kind", move_kind_name(value.kind)},
           {"request", encode(value.request)},
           {"vm", encode(value.vm)},
           {"placements", encode(value.placements)},
           {"files", encode(value.files)},
           {"nvram_destination", value.nvram_destination},
           {"networks", encode(value.networks)},
           {"findings", encode(value.findings)},
           {"expected_bytes", value.bytes_expected.bytes},
           {"quarantine_bytes", value.quarantine_bytes.bytes},
           {"made_at", time_text(value.made_at)},
           {"expires_at", time_text(value.expires_at)}};
  if (value.forecast) out["forecast"] = encode(*value.forecast);
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Plan& out) {
  return Fields(from, path, unknown)
      .need("id", out.id)
      .may("kind", out.kind)
      .need("request", out.request)
      .need("vm", out.vm)
      .need("placements", out.placements)
      .may("files", out.files)
      .may("nvram_destination", out.nvram_destination)
      .may("networks", out.networks)
      .need("findings", out.findings)
      .may("expected_bytes", out.bytes_expected)
      .may("quarantine_bytes", out.quarantine_bytes)
      .may("forecast", out.forecast)
      .need("made_at", out.made_at)
      .need("expires_at", out.expires_at)
      .finish();
}

}  // namespace drover::json
