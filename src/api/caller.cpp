// SPDX-License-Identifier: Apache-2.0
#include "api/caller.h"

#include <algorithm>
#include <vector>

#include <pwd.h>

namespace drover::api {
namespace {

std::string user_name(uid_t uid) {
  std::vector<char> buffer(4096);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
    return entry.pw_name;
  return fmt::format("uid:{}", uid);
}

// What may stand before "@host" in journals and logs.
bool is_user_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._-:$").find(c) != std::string_view::npos;
  });
}

Result<Caller> identify_peer(const net::HttpRequest& head, const journal::HostBook& book) {
  const auto peer = book.find_peer_by_key(head.origin.peer_key);
  if (!peer) {
    return fail(ErrorCode::kUnauthenticated,
                "This host is not paired with the one that asks (any more). Pair them: `drover "
                "host invite` here.");
  }
  if (peer->state == PeerState::kWaiting) {
    return fail(ErrorCode::kPermission,
                "The host that asks was introduced and waits for approval here: `drover host "
                "approve {}`.",
                peer->name);
  }
  if (head.path.starts_with("/v1/peer/")) {
    if (head.user)
      return fail(ErrorCode::kInvalidArgument, "Drover-User has no meaning between daemons.");
    return Caller{Caller::Kind::kPeer, peer->name, peer, false};
  }
  if (!peer->rights.command) {
    return fail(ErrorCode::kPermission,
                "The host {} may not act for its users here. To allow it: `drover host rights {} "
                "send,receive,command`.",
                peer->name, peer->name);
  }
  if (!head.user || !is_user_name(*head.user)) {
    return fail(ErrorCode::kInvalidArgument,
                "A carried request must name its user in Drover-User.");
  }
  return Caller{Caller::Kind::kUser, *head.user + "@" + peer->name, peer, true};
}

Result<Caller> identify_token(const net::HttpRequest& head, const journal::HostBook& book) {
  constexpr std::string_view kScheme = "Bearer ";
  if (head.authorization && head.authorization->starts_with(kScheme)) {
    const auto token =
        book.find_token(std::string_view(*head.authorization).substr(kScheme.size()));
    if (token) return Caller{Caller::Kind::kUser, "token:" + token->name, std::nullopt, false};
  }
  return fail(
      ErrorCode::kUnauthenticated,
      "No valid token. On the host itself, `drover token create NAME` makes one; send it as "
      "Authorization: "
      "Bearer TOKEN.");
}

}  // namespace

Result<Caller> identify(const net::HttpRequest& head, const journal::HostBook& book) {
  const net::Origin& origin = head.origin;
  if (!origin.psk_identity.empty()) return Caller{Caller::Kind::kNewcomer, "", std::nullopt, false};
  if (!origin.peer_key.empty()) return identify_peer(head, book);
  if (head.user) {
    return fail(ErrorCode::kPermission, "Only paired hosts may name a user in Drover-User.");
  }
  if (origin.local) return Caller{Caller::Kind::kUser, user_name(origin.uid), std::nullopt, false};
  return identify_token(head, book);
}

}  // namespace drover::api
