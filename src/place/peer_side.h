// SPDX-License-Identifier: Apache-2.0
// What a peer may ask of this host about placing (verbs.h); all other verbs go on to the
// destination's side. Any thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "move/engine.h"
#include "move/world.h"
#include "net/peer_transport.h"
#include "place/capacity.h"

namespace drover::place {

class PeerSide final : public net::PeerHandler {
 public:
  // All outlive it.
  PeerSide(move::World& world, move::Engine& engine, net::PeerHandler& others,
           std::function<Result<Capacity>()> capacity)
      : world_(world), engine_(engine), others_(others), capacity_(std::move(capacity)) {}

  Result<std::string> handle(std::string_view peer_name, std::string_view verb,
                             std::string_view body) override;

 private:
  Result<std::string> bring(const Peer& peer, std::string_view body);
  Result<Move> brought(std::string_view peer_name, std::string_view body);
  Status check_may_bring(const Peer& peer, std::string_view vm_uuid);
  bool came_from(std::string_view vm_uuid, std::string_view peer_name);

  move::World& world_;
  move::Engine& engine_;
  net::PeerHandler& others_;
  const std::function<Result<Capacity>()> capacity_;
};

}  // namespace drover::place
