// SPDX-License-Identifier: Apache-2.0
// Moves, what belongs to them, and the disks that they put aside: one encode and one decode each,
// side by side.
#include "json/optional_members.h"

namespace drover::json {

using Json = nlohmann::json;

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
