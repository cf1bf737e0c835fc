// SPDX-License-Identifier: Apache-2.0
// Carries news of hosts to hosts, one after the other on a thread of its own: introductions after a
// pairing, partings after a removal. Best effort: a host that does not answer is logged, and learns
// of a parting when it next asks. Any thread may call any function but start() and stop().
#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "api/event_hub.h"
#include "base/bounded_queue.h"
#include "base/error.h"
#include "journal/host_book.h"
#include "model/host.h"
#include "net/http/peer_connections.h"

namespace drover::api {

class HostCourier {
 public:
  HostCourier(journal::HostBook& book, const net::HostIdentity& identity,
              net::PeerConnections& connections, EventHub& hub, std::string own_name);
  ~HostCourier() { stop(); }

  void start();
  void stop();

  // Tells all other paired hosts of `newcomer`, and it of them.
  void introduce(const Peer& newcomer);
  // Tells `gone` that we forgot it, and the others that it is gone. REQUIRES: it was removed from
  // the book.
  void part(const Peer& gone);

  // The other end of both: verbs "introduce" and "forget" of docs/pairing.md. Bodies and answers
  // are JSON.
  Result<std::string> take_introduction(const Peer& from, std::string_view body);
  Result<std::string> take_parting(const Peer& from, std::string_view body);

 private:
  struct Letter {
    Peer to;
    std::string verb;
    std::string body;
  };
  void send(Letter letter);
  void deliver(const Letter& letter);

  journal::HostBook& book_;
  const net::HostIdentity identity_;
  net::PeerConnections& connections_;
  EventHub& hub_;
  const std::string own_name_;
  BoundedQueue<Letter> letters_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace drover::api
