// SPDX-License-Identifier: Apache-2.0
// Pairing by invite, both halves, as docs/pairing.md describes it. Any thread.
#pragma once

#include <string>

#include "api/event_hub.h"
#include "api/host_courier.h"
#include "api/invite_book.h"
#include "api/server_options.h"
#include "base/error.h"
#include "journal/host_book.h"
#include "model/access.h"
#include "net/host_identity.h"
#include "net/http/http_message.h"

namespace drover::api {

class Pairing {
 public:
  // REQUIRES: all outlive this.
  Pairing(const ServerOptions& options, const net::HostIdentity& identity, journal::HostBook& book,
          InviteBook& invites, HostCourier& courier, EventHub& hub)
      : options_(options),
        identity_(identity),
        book_(book),
        invites_(invites),
        courier_(courier),
        hub_(hub) {}

  // The inviting side. `api_port` is the port the API really listens on.
  Result<Invite> invite(const InviteRequest& request, std::uint16_t api_port);
  // POST /v1/peer/pair on a connection keyed by an invite: steps "ask" and "join".
  Result<std::string> answer(const net::HttpRequest& request, std::uint16_t api_port);

  // The side that joins: blocks for up to 20 s. On an error nothing is left paired here.
  Result<Peer> add(const HostAddition& addition, std::uint16_t api_port);

 private:
  struct Step;
  Result<std::string> answer_ask(const net::HttpRequest& request, const Step& step,
                                 std::uint16_t api_port);
  Result<std::string> answer_join(const net::HttpRequest& request, const Step& step);
  Result<Peer> newcomer_of(const net::HttpRequest& request, const Step& step,
                           const InviteRequest& terms);
  Status enable_moves();

  const ServerOptions& options_;
  const net::HostIdentity& identity_;
  journal::HostBook& book_;
  InviteBook& invites_;
  HostCourier& courier_;
  EventHub& hub_;
};

}  // namespace drover::api
