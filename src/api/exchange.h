// SPDX-License-Identifier: Apache-2.0
// What an endpoint gets: the request, its caller, and droverd's parts; and how endpoints write
// answers. Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/backend.h"
#include "api/caller.h"
#include "api/carrier.h"
#include "api/event_hub.h"
#include "api/host_courier.h"
#include "api/invite_book.h"
#include "api/pairing.h"
#include "api/server_options.h"
#include "base/error.h"
#include "journal/host_book.h"
#include "net/http/http_message.h"
#include "net/peer_transport.h"

namespace drover::api {

// Everything endpoints work on; made by Servers, lives as long as it.
struct Services {
  const ServerOptions& options;
  const net::HostIdentity& identity;
  Backend& backend;
  journal::HostBook& book;
  EventHub& hub;
  net::PeerHandler& peer_handler;
  InviteBook& invites;
  HostCourier& courier;
  Pairing& pairing;
  Carrier& carrier;
  std::uint16_t api_port = 0;  // really listened on
  std::atomic<std::size_t> streams = 0;
};

struct Exchange {
  const net::HttpRequest& request;
  const Caller& caller;
  const std::vector<std::string>& arguments;  // what stands for {…} in the route
  Services& services;
};

using Answer = Result<net::HttpAnswer>;

int http_status(ErrorCode code);
net::HttpAnswer error_answer(const Error& error);
// 200 with a JSON text.
net::HttpAnswer json_answer(std::string text);
// 200 with {}.
net::HttpAnswer empty_answer();

}  // namespace drover::api
