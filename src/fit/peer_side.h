// SPDX-License-Identifier: Apache-2.0
// What a peer may ask of this host about CPUs (verbs.h); all other verbs go on. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "move/world.h"
#include "net/peer_transport.h"

namespace drover::fit {

class PeerSide final : public net::PeerHandler {
 public:
  // Both outlive it.
  PeerSide(move::World& world, net::PeerHandler& others) : world_(world), others_(others) {}

  Result<std::string> handle(std::string_view peer_name, std::string_view verb,
                             std::string_view body) override;

 private:
  move::World& world_;
  net::PeerHandler& others_;
};

}  // namespace drover::fit
