// SPDX-License-Identifier: Apache-2.0
#include "json/archive_json.h"

#include "json/optional_members.h"

namespace drover::json {
namespace {

using Json = nlohmann::json;

template <typename T>
bool take(std::optional<T> value, T& out) {
  if (value) out = *value;
  return value.has_value();
}

// Only what belongs to its kind: a member of the other kind would be ignored in silence.
Json encode_request(const ArchiveRequest& value) {
  Json out{{"kind", archive_kind_name(value.kind)},
           {"folder", value.folder},
           {"accepted_codes", value.accepted_codes}};
  if (value.kind == ArchiveKind::kExport) {
    out["vm"] = value.vm;
    out["bandwidth_bytes_per_second"] = value.bandwidth.value;
    out["memory"] = value.memory;
  } else {
    out["mode"] = import_mode_name(value.mode);
    out["name"] = value.name;
    out["disks_to"] = value.disks_to;
  }
  return out;
}

void read_request(Fields& fields, ArchiveRequest& out) {
  fields.need("kind", out.kind).need("folder", out.folder);
  fields.may("accepted_codes", out.accepted_codes);
  if (out.kind == ArchiveKind::kExport) {
    fields.need("vm", out.vm)
        .may("bandwidth_bytes_per_second", out.bandwidth)
        .may("memory", out.memory);
  } else {
    fields.need("mode", out.mode).may("name", out.name).may("disks_to", out.disks_to);
  }
}

}  // namespace

bool decode_name(std::string_view text, ArchiveKind& out) {
  return take(archive_kind_from_name(text), out);
}
bool decode_name(std::string_view text, ImportMode& out) {
  return take(import_mode_from_name(text), out);
}
bool decode_name(std::string_view text, ArchiveState& out) {
  return take(archive_state_from_name(text), out);
}

Json encode(const ArchiveItem& value) {
  return {{"item", value.item},
          {"file", value.file},
          {"path", value.path},
          {"format", value.format},
          {"virtual_bytes", value.virtual_size.bytes},
          {"size_bytes", value.size.bytes},
          {"hash", value.hash}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, ArchiveItem& out) {
  return Fields(from, path, unknown)
      .need("item", out.item)
      .need("file", out.file)
      .may("path", out.path)
      .may("format", out.format)
      .may("virtual_bytes", out.virtual_size)
      .may("size_bytes", out.size)
      .may("hash", out.hash)
      .finish();
}

Json encode(const Archive& value) {
  Json out = encode_request(value.request);
  out["id"] = value.id;
  out["host"] = value.host;
  out["requested_by"] = value.request.requested_by;
  out["state"] = archive_state_name(value.state);
  out["vm_uuid"] = value.vm_uuid;
  out["vm_name"] = value.vm_name;
  out["verified"] = value.verified;
  out["findings"] = encode(value.findings);
  out["items"] = encode(value.items);
  out["doing"] = value.doing;
  out["done_bytes"] = value.bytes_done.bytes;
  out["total_bytes"] = value.bytes_total.bytes;
  out["cancel_asked"] = value.cancel_asked;
  out["explanation"] = value.explanation;
  if (value.error) out["error"] = encode(*value.error);
  out["started_at"] = time_text(value.started_at);
  put_time(out, "ended_at", value.ended_at);
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Archive& out) {
  Fields fields(from, path, unknown);
  read_request(fields, out.request);
  return fields.need("id", out.id)
      .need("host", out.host)
      .may("requested_by", out.request.requested_by)
      .need("state", out.state)
      .may("vm_uuid", out.vm_uuid)
      .may("vm_name", out.vm_name)
      .may("verified", out.verified)
      .may("findings", out.findings)
      .may("items", out.items)
      .may("doing", out.doing)
      .may("done_bytes", out.bytes_done)
      .may("total_bytes", out.bytes_total)
      .may("cancel_asked", out.cancel_asked)
      .may("explanation", out.explanation)
      .may("error", out.error)
      .need("started_at", out.started_at)
      .may("ended_at", out.ended_at)
      .finish();
}

std::string to_json(const Archive& value) { return dump(encode(value)); }

Result<Archive> archive_from_json(std::string_view text, Unknown unknown) {
  ASSIGN_OR_RETURN(const Json tree, parse(text));
  Archive value;
  RETURN_IF_ERROR(decode(tree, "", unknown, value));
  return value;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, ArchiveRequest& out) {
  Fields fields(from, path, unknown);
  read_request(fields, out);
  return fields.finish();
}

std::string request_body(const ArchiveRequest& request) { return dump(encode_request(request)); }

}  // namespace drover::json
