// SPDX-License-Identifier: Apache-2.0
#include "json/access_json.h"

#include <fmt/core.h>

namespace drover::json {
namespace {

using Json = nlohmann::json;

std::string_view name_of(SettingChange::Op op) {
  if (op == SettingChange::Op::kAdd) return "+=";
  return op == SettingChange::Op::kRemove ? "-=" : "=";
}

}  // namespace

bool decode_name(std::string_view text, SettingChange::Op& out) {
  for (const auto op :
       {SettingChange::Op::kSet, SettingChange::Op::kAdd, SettingChange::Op::kRemove}) {
    if (name_of(op) != text) continue;
    out = op;
    return true;
  }
  return false;
}

Json encode(const SettingChange& value) {
  return {{"key", value.key}, {"op", name_of(value.op)}, {"value", value.value}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, SettingChange& out) {
  return Fields(from, path, unknown)
      .need("key", out.key)
      .need("op", out.op)
      .need("value", out.value)
      .finish();
}

Json encode(const HostEntry& value) {
  Json out = encode(value.peer);
  out["reachable"] = value.reachable;
  out["trouble"] = value.trouble;
  out["introduced_by"] = value.introduced_by;
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, HostEntry& out) {
  RETURN_IF_ERROR(Fields(from, path, Unknown::kIgnore)
                      .need("reachable", out.reachable)
                      .may("trouble", out.trouble)
                      .may("introduced_by", out.introduced_by)
                      .finish());
  Json peer = from;
  for (const char* name : {"reachable", "trouble", "introduced_by"}) peer.erase(name);
  return decode(peer, path, unknown, out.peer);
}

Json encode(const InviteRequest& value) {
  return {{"rights", encode(value.rights)},
          {"valid_ms", value.valid.count()},
          {"name", value.name},
          {"enable_moves", value.enable_moves}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, InviteRequest& out) {
  return Fields(from, path, unknown)
      .may("rights", out.rights)
      .may("valid_ms", out.valid)
      .may("name", out.name)
      .may("enable_moves", out.enable_moves)
      .finish();
}

Json encode(const Invite& value) {
  return {{"address", value.address},
          {"code", value.code},
          {"expires_at", time_text(value.expires_at)},
          {"line", value.line}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Invite& out) {
  return Fields(from, path, unknown)
      .need("address", out.address)
      .need("code", out.code)
      .need("expires_at", out.expires_at)
      .need("line", out.line)
      .finish();
}

Json encode(const HostAddition& value) {
  return {{"address", value.address},
          {"code", value.code},
          {"name", value.name},
          {"rights", encode(value.rights)},
          {"enable_moves", value.enable_moves}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, HostAddition& out) {
  return Fields(from, path, unknown)
      .need("address", out.address)
      .need("code", out.code)
      .may("name", out.name)
      .may("rights", out.rights)
      .may("enable_moves", out.enable_moves)
      .finish();
}

Json encode(const Token& value) {
  return {{"id", value.id}, {"name", value.name}, {"created_at", time_text(value.created_at)}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Token& out) {
  return Fields(from, path, unknown)
      .need("id", out.id)
      .need("name", out.name)
      .need("created_at", out.created_at)
      .finish();
}

Json encode(const NewToken& value) { return {{"id", value.id}, {"token", value.token}}; }

Status decode(const Json& from, const std::string& path, Unknown unknown, NewToken& out) {
  return Fields(from, path, unknown).need("id", out.id).need("token", out.token).finish();
}

Json encode(const UnreachableHost& value) {
  return {{"host", value.host}, {"error", encode(value.error)}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, UnreachableHost& out) {
  return Fields(from, path, unknown).need("host", out.host).need("error", out.error).finish();
}

Json encode(const SessionVm& value) {
  return {
      {"host", value.host}, {"name", value.name}, {"user", value.user}, {"running", value.running}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, SessionVm& out) {
  return Fields(from, path, unknown)
      .need("host", out.host)
      .need("name", out.name)
      .need("user", out.user)
      .may("running", out.running)
      .finish();
}

Json encode(const VmListing& value) {
  return {{"vms", encode(value.vms)},
          {"unreachable", encode(value.unreachable)},
          {"sessions", encode(value.sessions)}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, VmListing& out) {
  return Fields(from, path, unknown)
      .need("vms", out.vms)
      .may("unreachable", out.unreachable)
      .may("sessions", out.sessions)
      .finish();
}

Json encode(const ServerVersion& value) {
  return {{"version", value.version}, {"api", value.api}, {"host", value.host}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, ServerVersion& out) {
  return Fields(from, path, unknown)
      .need("version", out.version)
      .need("api", out.api)
      .need("host", out.host)
      .finish();
}

std::string error_body(const Error& error) { return dump({{"error", encode(error)}}); }

std::string request_body(const MoveRequest& request) {
  Json tree = encode(request);
  tree.erase("requested_by");
  return dump(tree);
}

Error error_of_body(int status, std::string_view body) {
  const auto tree = parse(body);
  Error error;
  if (tree && Fields(*tree, "", Unknown::kIgnore).need("error", error).finish()) return error;
  return {ErrorCode::kProtocol,
          Retry::kNever,
          fmt::format("The server answered with HTTP status {} and nothing Drover understands.",
                      status),
          {std::string(body.substr(0, 200))}};
}

}  // namespace drover::json
