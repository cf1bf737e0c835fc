// SPDX-License-Identifier: Apache-2.0
// HTTPS to other hosts with both sides' keys pinned, connections kept for a few seconds for the
// next call. Any thread.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "base/error.h"
#include "net/dial.h"
#include "net/http/http_client.h"
#include "net/tls_context.h"

namespace drover::net {

struct PeerEndpoint {
  std::string name;  // for messages
  Address address;
  std::string public_key;  // hex
};

class PeerConnections {
 public:
  explicit PeerConnections(const HostIdentity& identity)
      : identity_(identity), context_(&identity_) {}

  // Errors name the host and its address. kUnavailable (retry later): it does not answer.
  // kUnauthenticated: another key answers. kTimeout: it took the request and did not answer in
  // time. Answers of any HTTP status are returned.
  Result<HttpReply> call(const PeerEndpoint& peer, const HttpCall& call);
  // On a connection of its own.
  Result<HttpReply> stream(const PeerEndpoint& peer, const HttpCall& call,
                           std::chrono::milliseconds silence, const HttpClient::OnBytes& on_bytes);
  // Makes the calls and streams under way fail at once, for a daemon that stops.
  void break_off();
  // Closes what is kept for this key.
  void drop(const std::string& public_key);

 private:
  struct Kept {
    std::unique_ptr<HttpClient> client;
    Address address;
    std::chrono::steady_clock::time_point since;
  };
  Result<std::unique_ptr<HttpClient>> dial(const PeerEndpoint& peer, Deadline deadline);
  // Registers a client as under way for as long as it lives.
  class UnderWay;
  std::unique_ptr<HttpClient> take(const PeerEndpoint& peer);
  void keep(const PeerEndpoint& peer, std::unique_ptr<HttpClient> client);

  const HostIdentity identity_;
  const TlsClientContext context_;
  std::mutex mutex_;                              // guards all below
  std::map<std::string, std::deque<Kept>> kept_;  // by public key
  std::set<HttpClient*> under_way_;
};

}  // namespace drover::net
