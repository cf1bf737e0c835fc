// SPDX-License-Identifier: Apache-2.0
// Plans, findings, moves and what belongs to them: one encode and one decode each, side by side.
#include "json/encode.h"

namespace drover::json {
namespace {

using Json = nlohmann::json;

template <typename T>
void put_span(Json& out, const char* name, const T& span) {
  if (span) out[name] = span->count();
}

void put_time(Json& out, const char* name, const std::optional<Time>& time) {
  if (time) out[name] = time_text(*time);
}

}  // namespace

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
      .may("flatten", out.flatten)
      .may("media", out.media)
      .may("disposal", out.disposal)
      .may("performance", out.performance)
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
  return {{"target", value.target},
          {"source_path", value.source_path},
          {"destination_path", value.destination_path},
          {"format", value.format},
          {"virtual_size_bytes", value.virtual_size.bytes},
          {"allocated_bytes", value.allocated.bytes},
          {"cluster_size_bytes", value.cluster_size.bytes},
          {"shared", value.shared}};
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

Json encode(const PhaseTimes& value) {
  Json out{{"phase", phase_name(value.phase)}, {"started_at", time_text(value.started_at)}};
  put_time(out, "ended_at", value.ended_at);
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, PhaseTimes& out) {
  return Fields(from, path, unknown)
      .need("phase", out.phase)
      .need("started_at", out.started_at)
      .may("ended_at", out.ended_at)
      .finish();
}

Json encode(const TransferProgress& value) {
  return {{"done_bytes", value.done.bytes},
          {"total_bytes", value.total.bytes},
          {"bytes_per_second", value.rate.value},
          {"redirtied_bytes", value.redirtied.bytes}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, TransferProgress& out) {
  return Fields(from, path, unknown)
      .may("done_bytes", out.done)
      .may("total_bytes", out.total)
      .may("bytes_per_second", out.rate)
      .may("redirtied_bytes", out.redirtied)
      .finish();
}

Json encode(const MemoryPass& value) {
  return {{"number", value.number},
          {"duration_ms", value.duration.count()},
          {"left_bytes", value.left.bytes},
          {"sent_bytes", value.sent.bytes},
          {"dirtied_bytes_per_second", value.dirtied.value},
          {"pages", value.pages},
          {"resent_pages", value.resent_pages},
          {"unchanged_pages", value.unchanged_pages}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, MemoryPass& out) {
  return Fields(from, path, unknown)
      .need("number", out.number)
      .may("duration_ms", out.duration)
      .may("left_bytes", out.left)
      .may("sent_bytes", out.sent)
      .may("dirtied_bytes_per_second", out.dirtied)
      .may("pages", out.pages)
      .may("resent_pages", out.resent_pages)
      .may("unchanged_pages", out.unchanged_pages)
      .finish();
}

Json encode(const Progress& value) {
  Json out{{"phase", phase_name(value.phase)},    {"percent", value.percent},
           {"disks", encode(value.disks)},        {"memory", encode(value.memory)},
           {"elapsed_ms", value.elapsed.count()}, {"passes", encode(value.passes)}};
  put_span(out, "left_least_ms", value.left_least);
  put_span(out, "left_most_ms", value.left_most);
  if (value.warning) out["warning"] = encode(*value.warning);
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Progress& out) {
  return Fields(from, path, unknown)
      .need("phase", out.phase)
      .need("percent", out.percent)
      .may("disks", out.disks)
      .may("memory", out.memory)
      .may("elapsed_ms", out.elapsed)
      .may("left_least_ms", out.left_least)
      .may("left_most_ms", out.left_most)
      .may("passes", out.passes)
      .may("warning", out.warning)
      .finish();
}

Json encode(const TransferKinds& value) {
  return {{"untouched_bytes", value.untouched.bytes},
          {"zero_bytes", value.zero.bytes},
          {"same_bytes", value.same.bytes},
          {"cached_bytes", value.cached.bytes},
          {"own_disk_bytes", value.own_disk.bytes},
          {"residue_bytes", value.residue.bytes},
          {"group_bytes", value.group.bytes},
          {"packed_bytes", value.packed.bytes},
          {"wire_bytes", value.wire.bytes},
          {"resent_bytes", value.resent.bytes},
          {"misses", value.misses}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, TransferKinds& out) {
  return Fields(from, path, unknown)
      .may("untouched_bytes", out.untouched)
      .may("zero_bytes", out.zero)
      .may("same_bytes", out.same)
      .may("cached_bytes", out.cached)
      .may("own_disk_bytes", out.own_disk)
      .may("residue_bytes", out.residue)
      .may("group_bytes", out.group)
      .may("packed_bytes", out.packed)
      .may("wire_bytes", out.wire)
      .may("resent_bytes", out.resent)
      .may("misses", out.misses)
      .finish();
}

Json encode(const Proof& value) {
  return {{"level", verification_name(value.level)}, {"compared_bytes", value.compared.bytes},
          {"excluded_bytes", value.excluded.bytes},  {"unproven_bytes", value.unproven.bytes},
          {"duration_ms", value.duration.count()},   {"text", value.text},
          {"difference", value.difference}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Proof& out) {
  return Fields(from, path, unknown)
      .need("level", out.level)
      .may("compared_bytes", out.compared)
      .may("excluded_bytes", out.excluded)
      .may("unproven_bytes", out.unproven)
      .may("duration_ms", out.duration)
      .may("text", out.text)
      .may("difference", out.difference)
      .finish();
}

Json encode(const NetworkTraffic& value) {
  return {{"network", value.network}, {"wire_bytes", value.wire.bytes}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, NetworkTraffic& out) {
  return Fields(from, path, unknown)
      .need("network", out.network)
      .need("wire_bytes", out.wire)
      .finish();
}

Json encode(const Report& value) {
  Json out{{"wire_bytes", value.bytes_on_wire.bytes},
           {"duration_ms", value.duration.count()},
           {"memory_sent_bytes", value.memory_sent.bytes},
           {"disks_sent_bytes", value.disks_sent.bytes},
           {"passes", encode(value.passes)},
           {"networks", encode(value.networks)}};
  put_span(out, "pause_ms", value.pause);
  if (value.kinds) out["kinds"] = encode(*value.kinds);
  if (value.proof) out["proof"] = encode(*value.proof);
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Report& out) {
  return Fields(from, path, unknown)
      .need("wire_bytes", out.bytes_on_wire)
      .need("duration_ms", out.duration)
      .may("pause_ms", out.pause)
      .may("memory_sent_bytes", out.memory_sent)
      .may("disks_sent_bytes", out.disks_sent)
      .may("kinds", out.kinds)
      .may("proof", out.proof)
      .may("passes", out.passes)
      .may("networks", out.networks)
      .finish();
}

Json encode(const QueuePlace& value) {
  Json out{{"priority", value.priority},
           {"held", value.held},
           {"position", value.position},
           {"waits_for", value.waits_for},
           {"since", time_text(value.since)}};
  put_time(out, "not_before", value.not_before);
  put_time(out, "expected_at", value.expected_at);
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, QueuePlace& out) {
  return Fields(from, path, unknown)
      .need("priority", out.priority)
      .need("held", out.held)
      .may("position", out.position)
      .may("waits_for", out.waits_for)
      .need("since", out.since)
      .may("not_before", out.not_before)
      .may("expected_at", out.expected_at)
      .finish();
}

Json encode(const Move& value) {
  Json out{{"id", value.id},
           {"plan", encode(value.plan)},
           {"source", value.source},
           {"destination", value.destination},
           {"epoch", value.epoch},
           {"phase", phase_name(value.phase)},
           {"state", move_state_name(value.state)},
           {"runner", runner_name(value.runner)},
           {"explanation", value.explanation},
           {"phases", encode(value.phases)},
           {"progress", encode(value.progress)},
           {"cancel_asked", value.cancel_asked},
           {"convergence", convergence_text(value.convergence)},
           {"may_slow_guest", value.may_slow_guest},
           {"started_at", time_text(value.started_at)}};
  if (value.queue) out["queue"] = encode(*value.queue);
  if (!value.attempts.empty()) out["attempts"] = encode(value.attempts);
  if (value.resolution) out["resolution"] = encode(*value.resolution);
  if (value.health) out["health"] = encode(*value.health);
  if (value.error) out["error"] = encode(*value.error);
  if (value.report) out["report"] = encode(*value.report);
  put_time(out, "ended_at", value.ended_at);
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Move& out) {
  return Fields(from, path, unknown)
      .need("id", out.id)
      .need("plan", out.plan)
      .need("source", out.source)
      .need("destination", out.destination)
      .may("epoch", out.epoch)
      .need("phase", out.phase)
      .need("state", out.state)
      .need("runner", out.runner)
      .may("explanation", out.explanation)
      .may("error", out.error)
      .may("phases", out.phases)
      .may("progress", out.progress)
      .may("report", out.report)
      .may("queue", out.queue)
      .may("attempts", out.attempts)
      .may("resolution", out.resolution)
      .may("health", out.health)
      .may("cancel_asked", out.cancel_asked)
      .may("convergence", out.convergence)
      .may("may_slow_guest", out.may_slow_guest)
      .need("started_at", out.started_at)
      .may("ended_at", out.ended_at)
      .finish();
}

Json encode(const QuarantinedDisk& value) {
  Json out{{"move_id", value.move_id},
           {"vm_uuid", value.vm_uuid},
           {"vm_name", value.vm_name},
           {"original_path", value.original_path},
           {"kept_path", value.kept_path},
           {"device", value.device},
           {"inode", value.inode},
           {"allocated_bytes", value.allocated.bytes},
           {"since", time_text(value.since)},
           {"born_ns", value.born_ns},
           {"boot", value.boot}};
  put_time(out, "until", value.until);
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, QuarantinedDisk& out) {
  return Fields(from, path, unknown)
      .need("move_id", out.move_id)
      .need("vm_uuid", out.vm_uuid)
      .need("vm_name", out.vm_name)
      .need("original_path", out.original_path)
      .need("kept_path", out.kept_path)
      .need("device", out.device)
      .need("inode", out.inode)
      .may("allocated_bytes", out.allocated)
      .need("since", out.since)
      .may("until", out.until)
      .may("born_ns", out.born_ns)
      .may("boot", out.boot)
      .finish();
}

}  // namespace drover::json
