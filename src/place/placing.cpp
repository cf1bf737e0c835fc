// SPDX-License-Identifier: Apache-2.0
#include "place/placing.h"

namespace drover::place {

Placing::Placing(move::World& world, move::Engine& engine, move::Inventory& inventory,
                 net::PeerHandler& others)
    : plans_(engine),
      ground_(world, engine, inventory, [this] { return evacuator_.evacuated(); }),
      placer_(plans_, [this] { return ground_.look(); }),
      evacuator_(world.journal, world.book, ground_, world.host_name),
      peer_side_(world, engine, others, [this] { return ground_.capacity(); }) {}

Status Placing::recover() {
  RETURN_IF_ERROR(evacuator_.recover());
  placer_.recover();
  return {};
}

void Placing::leave() {
  evacuator_.leave();
  placer_.leave();
}

void Placing::take(const Move& move) {
  placer_.take(move);
  evacuator_.look();
}

}  // namespace drover::place
