// SPDX-License-Identifier: Apache-2.0
// Who sent a request, as the transport proved it. Plain values; identify() may be called from any
// thread.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "journal/host_book.h"
#include "model/host.h"
#include "net/http/http_message.h"

namespace drover::api {

struct Caller {
  enum class Kind { kUser, kPeer, kNewcomer };
  Kind kind = Kind::kUser;
  std::string name;          // users: "alice", "token:ci", "alice@host3"; peers: our name for it
  std::optional<Peer> peer;  // kPeer, and users whose request a peer carried
  bool carried = false;      // a user whose request a peer carried
};

// kUnauthenticated: nobody we know. kPermission: a peer that waits for approval, or may not carry
// users' requests.
Result<Caller> identify(const net::HttpRequest& head, const journal::HostBook& book);

}  // namespace drover::api
