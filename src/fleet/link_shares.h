// SPDX-License-Identifier: Apache-2.0
// Who sends how fast when moves share links: destinations give equal parts; what a move cannot use
// of its equal part at the source is shared by the source's others. Nobody has nothing, no link
// gives more than it has. Only what a change touches is worked out anew. One thread.
#pragma once

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "fleet/room.h"

namespace drover::fleet {

using MoveIndex = std::uint32_t;

class LinkShares {
 public:
  explicit LinkShares(const Fleet& fleet);

  void join(MoveIndex move, HostIndex source, HostIndex destination);
  void leave(MoveIndex move, HostIndex source, HostIndex destination);
  // Shares (bytes a second, above 0) that are not what they were at the last call.
  std::vector<std::pair<MoveIndex, double>> changes();

 private:
  struct Sender {
    MoveIndex move;
    HostIndex destination;
    double share;
  };
  void touch_senders_to(HostIndex destination);
  void divide(std::vector<Sender>& senders, double link,
              std::vector<std::pair<MoveIndex, double>>& changed) const;

  std::vector<double> link_out_, link_in_;
  std::vector<std::vector<Sender>> senders_;        // by source
  std::vector<std::vector<HostIndex>> sources_of_;  // by destination; one entry a move
  std::set<HostIndex> touched_;                     // sources
};

}  // namespace drover::fleet
