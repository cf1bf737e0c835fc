// SPDX-License-Identifier: Apache-2.0
#include "model/network_disk.h"

#include <algorithm>
#include <cctype>

#include <fmt/core.h>

namespace drover {
namespace {

constexpr std::string_view kNbd = "nbd://";
constexpr std::string_view kNbdPort = "10809";
constexpr std::size_t kNameMax = 4096;  // of an export, as in NBD's proto.md
constexpr std::size_t kHostMax = 255;

bool all_of(std::string_view text, std::string_view marks) {
  return std::ranges::all_of(text, [&](unsigned char c) {
    return (std::isalnum(c) != 0 && c < 0x80) || marks.find(static_cast<char>(c)) != marks.npos;
  });
}

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_name(std::string_view text) {
  return text.size() <= kNameMax && std::ranges::none_of(text, [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
         });
}

// A name's colon would end it within a rule.
std::string host_text(std::string_view host) {
  if (host.empty() || host.size() > kHostMax) return {};
  if (all_of(host, ".-_")) return std::string(host);
  if (host.find(':') != host.npos && all_of(host, ":.")) return fmt::format("[{}]", host);
  return {};
}

}  // namespace

std::string nbd_uri(std::string_view host, std::string_view port, std::string_view name) {
  const std::string at = host_text(host);
  if (port.empty()) port = kNbdPort;
  if (at.empty() || !is_port(port) || !is_name(name)) return {};
  return fmt::format("{}{}:{}/{}", kNbd, at, port, name);
}

Status check_network_disk_rule(std::string_view rule) {
  const auto wrong = [&] {
    return fail(ErrorCode::kInvalidArgument,
                "\"{}\" names no network disks. Write nbd://HOST, nbd://HOST:PORT or "
                "nbd://HOST:PORT/EXPORT.",
                rule);
  };
  if (!rule.starts_with(kNbd)) return wrong();
  std::string_view rest = rule.substr(kNbd.size());
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
  if (has_port && !is_port(after.substr(1))) return wrong();
  if (host_text(host).starts_with('[') != brackets || nbd_uri(host, "", name).empty())
    return wrong();
  return {};
}

bool admits_network_disk(std::span<const std::string> rules, std::string_view uri) {
  if (!is_network_path(uri)) return false;
  return std::ranges::any_of(rules, [&](std::string_view rule) {
    if (!rule.starts_with(kNbd) || !uri.starts_with(rule)) return false;
    const std::string_view rest = uri.substr(rule.size());
    if (rest.empty()) return true;
    const std::string_view beyond = rule.substr(kNbd.size());
    if (beyond.find('/') != beyond.npos) return false;  // it names another export
    return rest.front() == ':' || rest.front() == '/';
  });
}

}  // namespace drover
