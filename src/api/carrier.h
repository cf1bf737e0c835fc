// SPDX-License-Identifier: Apache-2.0
// Carries users' requests to paired hosts (`?host=NAME`), and asks paired hosts whether they
// answer. Any thread.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "journal/host_book.h"
#include "model/access.h"
#include "model/vm.h"
#include "net/http/http_message.h"
#include "net/http/peer_connections.h"

namespace drover::api {

class Carrier {
 public:
  Carrier(const journal::HostBook& book, net::PeerConnections& connections)
      : book_(book), connections_(connections) {}

  // The other host's answer, whatever its status. `user` is who asks here.
  Result<net::HttpAnswer> carry(const net::HttpRequest& request, std::string_view host,
                                std::string_view user);
  // The same for an event stream: its head is checked first, then the bytes go through as they
  // come.
  Result<net::HttpAnswer> carry_stream(const net::HttpRequest& request, std::string_view host,
                                       std::string_view user);

  // The VMs of a paired host, by its peer verb "vms": every paired host tells them to every other,
  // whatever the rights.
  Result<std::vector<Vm>> vms(const Peer& peer);

  // One entry for each peer, asked all at once where the last answer is older than some seconds.
  std::vector<HostEntry> entries(const std::vector<Peer>& peers);

 private:
  struct Known {
    std::chrono::steady_clock::time_point at;
    std::string trouble;
  };
  Result<Peer> paired(std::string_view name) const;
  std::string trouble_with(const Peer& peer);

  const journal::HostBook& book_;
  net::PeerConnections& connections_;
  std::mutex mutex_;                    // guards known_; never held while asking
  std::map<std::string, Known> known_;  // by public key
};

}  // namespace drover::api
