// SPDX-License-Identifier: Apache-2.0
#include "model/network_disk.h"

#include <algorithm>
#include <cctype>
#include <string>

#include <fmt/core.h>

namespace drover {
namespace {

constexpr std::string_view kMark = "://";
constexpr std::size_t kHostMax = 255;

bool all_of(std::string_view text, std::string_view marks) {
  return std::ranges::all_of(text, [&](unsigned char c) {
    return (std::isalnum(c) != 0 && c < 0x80) || marks.find(static_cast<char>(c)) != marks.npos;
  });
}

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// A comma parts rules from each other: no administrator could allow such an export.
bool is_export(std::string_view name) {
  constexpr std::size_t kNameMax = 4096;  // NBD's proto.md
  return name.size() <= kNameMax && std::ranges::none_of(name, [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == ',';
         });
}

// RFC 7143, 4.2.7.1: such letters, at most 223 of them. Larger numbers are other ways to say one of
// these (SAM-5, 4.7): of 65537, 16385 and 257 some or all targets make 1.
bool is_target_and_lun(std::string_view name) {
  constexpr std::size_t kTargetMax = 223;
  constexpr int kLunMax = 255;
  const std::size_t slash = name.find('/');
  if (slash == name.npos || slash == 0 || slash > kTargetMax) return false;
  const std::string_view lun = name.substr(slash + 1);
  const bool one_form = lun.size() == 1 || !lun.starts_with('0');
  if (!is_number(lun) || !one_form || std::stoi(std::string(lun)) > kLunMax) return false;
  return all_of(name.substr(0, slash), ".-:");
}

// A path that has one form.
bool is_volume_and_path(std::string_view name) {
  const std::size_t slash = name.find('/');
  if (slash == name.npos || slash == 0 || !all_of(name.substr(0, slash), "-_")) return false;
  if (!is_export(name)) return false;
  for (std::string_view rest = name.substr(slash + 1);;) {
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view part = rest.substr(0, end);
    if (part.empty() || part == "." || part == "..") return false;
    if (end == rest.size()) return true;
    rest = rest.substr(end + 1);
  }
}

// A namespace would stand between the two; @ and : mean something to librbd.
bool is_pool_and_image(std::string_view name) {
  const std::size_t slash = name.find('/');
  if (slash == name.npos || slash == 0 || slash + 1 == name.size()) return false;
  return all_of(name.substr(0, slash), ".-_") && all_of(name.substr(slash + 1), ".-_");
}

struct Protocol {
  std::string_view name;
  std::uint16_t port;
  bool (*is_name)(std::string_view);
  bool several_servers = false;
  std::string_view secret_type = {};
};
constexpr Protocol kProtocols[] = {
    {.name = "nbd", .port = 10809, .is_name = is_export},
    {.name = "iscsi", .port = 3260, .is_name = is_target_and_lun, .secret_type = "iscsi"},
    {.name = "gluster", .port = 24007, .is_name = is_volume_and_path, .several_servers = true},
    {.name = "rbd",
     .port = 6789,
     .is_name = is_pool_and_image,
     .several_servers = true,
     .secret_type = "ceph"}};

const Protocol* protocol_called(std::string_view name) {
  const auto* const found = std::ranges::find(kProtocols, name, &Protocol::name);
  return found == std::end(kProtocols) ? nullptr : found;
}

// A name's colon would end it within a rule.
std::string host_text(std::string_view host) {
  if (host.empty() || host.size() > kHostMax) return {};
  if (all_of(host, ".-_")) return std::string(host);
  if (host.find(':') != host.npos && all_of(host, ":.")) return fmt::format("[{}]", host);
  return {};
}

// "nbd", and what comes behind "://".
struct Parts {
  std::string_view protocol, rest;
};
Parts parts_of(std::string_view uri) {
  const std::size_t mark = uri.find(kMark);
  if (mark == uri.npos) return {};
  return {uri.substr(0, mark), uri.substr(mark + kMark.size())};
}

}  // namespace

std::uint16_t network_disk_port(std::string_view protocol) {
  const Protocol* const known = protocol_called(protocol);
  return known == nullptr ? std::uint16_t{0} : known->port;
}

bool has_several_servers(std::string_view protocol) {
  const Protocol* const known = protocol_called(protocol);
  return known != nullptr && known->several_servers;
}

std::string_view network_disk_secret_type(std::string_view protocol) {
  const Protocol* const known = protocol_called(protocol);
  return known == nullptr ? std::string_view() : known->secret_type;
}

std::string network_disk_uri(std::string_view protocol, std::string_view host,
                             std::string_view port, std::string_view name) {
  const Protocol* const known = protocol_called(protocol);
  const std::string at = host_text(host);
  if (known == nullptr || at.empty() || !known->is_name(name)) return {};
  if (port.empty()) return fmt::format("{}{}{}:{}/{}", known->name, kMark, at, known->port, name);
  if (!is_number(port)) return {};
  return fmt::format("{}{}{}:{}/{}", known->name, kMark, at, port, name);
}

std::string network_disk_as_user(std::string uri, std::string_view user,
                                 std::string_view secret_uuid, std::string_view secret_usage) {
  if (user.empty()) return uri;
  return fmt::format("{}\n{}\n{} {}", uri, user, secret_uuid.empty() ? "usage" : "uuid",
                     secret_uuid.empty() ? secret_usage : secret_uuid);
}

Status check_network_disk_rule(std::string_view rule) {
  const auto wrong = [&] {
    return fail(ErrorCode::kInvalidArgument,
                "\"{}\" names no network disks. Write nbd://HOST, nbd://HOST:PORT or "
                "nbd://HOST:PORT/EXPORT, likewise "
                "iscsi://HOST:PORT/TARGET/LUN, gluster://HOST:PORT/VOLUME/PATH and "
                "rbd://HOST:PORT/POOL/IMAGE.",
                rule);
  };
  auto [protocol, rest] = parts_of(rule);
  if (network_disk_port(protocol) == 0) return wrong();
  const std::size_t slash = rest.find('/');
  const bool has_name = slash != rest.npos;
  const std::string_view name = has_name ? rest.substr(slash + 1) : std::string_view();
  rest = rest.substr(0, slash);
  const bool brackets = rest.starts_with('[');
  const std::size_t end = brackets ? rest.find(']') : std::min(rest.find(':'), rest.size());
  if (end == rest.npos) return wrong();
  const std::string_view host = brackets ? rest.substr(1, end - 1) : rest.substr(0, end);
  const std::string_view after = rest.substr(brackets ? end + 1 : end);
  const bool has_port = after.starts_with(':');
  if (!has_port && (!after.empty() || has_name)) return wrong();
  if (has_port && !is_number(after.substr(1))) return wrong();
  const std::string at = host_text(host);
  if (at.empty() || at.starts_with('[') != brackets) return wrong();
  if (has_name && network_disk_uri(protocol, host, after.substr(1), name) != rule) return wrong();
  return {};
}

bool admits_network_disk(std::span<const std::string> rules, std::string_view uri) {
  if (!is_network_path(uri)) return false;
  return std::ranges::any_of(rules, [&](std::string_view rule) {
    const auto [protocol, beyond] = parts_of(rule);
    if (protocol.empty() || !uri.starts_with(rule)) return false;
    const std::string_view rest = uri.substr(rule.size());
    if (rest.empty()) return true;
    if (beyond.find('/') != beyond.npos) return false;  // it names another export
    return rest.front() == ':' || rest.front() == '/';
  });
}

std::string join_network_disk_uris(std::span<const std::string> uris) {
  std::string joined = uris.front().substr(0, uris.front().find(kMark)) + std::string(kMark);
  for (const std::string& uri : uris) {
    const std::string_view rest = parts_of(uri).rest;
    joined += (&uri == uris.data() ? "" : ",") + std::string(rest.substr(0, rest.find('/')));
  }
  const std::string_view rest = parts_of(uris.front()).rest;
  return joined + std::string(rest.substr(rest.find('/')));
}

std::vector<std::string> network_disk_servers(std::string_view uri) {
  std::string_view left = parts_of(uri).rest;
  left = left.substr(0, left.find('/'));
  std::vector<std::string> hosts;
  while (!left.empty()) {
    const std::size_t end = std::min(left.find(','), left.size());
    std::string_view host = left.substr(0, left.substr(0, end).rfind(':'));
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    hosts.emplace_back(host);
    left = left.substr(std::min(end + 1, left.size()));
  }
  return hosts;
}

bool is_network_path(std::string_view path) {
  return network_disk_port(parts_of(path).protocol) != 0;
}

}  // namespace drover
