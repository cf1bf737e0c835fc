// SPDX-License-Identifier: Apache-2.0
// Which VM goes to which host: greedy, in the order of docs/fleet.md, with one exchange. Pure.
#pragma once

#include <memory>
#include <vector>

#include "fleet/obstacle.h"
#include "fleet/room.h"

namespace drover::fleet {

// VMs that want to leave their hosts, and where they may go. Equal needs of one group share what
// was found out about hosts once.
struct Wish {
  VmIndex vm = kNone;
  std::uint32_t group = 0;
};

struct Place {
  HostIndex host = kNone;  // kNone: nowhere
  std::uint32_t storage = kNone;
};

// How many of the allowed hosts have this obstacle first.
struct ObstacleCount {
  Obstacle obstacle{};
  unsigned hosts = 0;
  HostIndex example = kNone;
};

class Assignment {
 public:
  // `destinations`: by group, ascending. All three outlive it.
  Assignment(const Fleet& fleet, const std::vector<Wish>& wishes,
             const std::vector<std::vector<HostIndex>>& destinations);
  ~Assignment();

  // By wish. May be called once.
  std::vector<Place> assign();
  // Another place for one wish, with no more room than there is in `room`; nowhere: kNone.
  HostIndex elsewhere(std::uint32_t wish, const Room& room) const;
  // Why a wish found no place in `room`; most hosts first.
  std::vector<ObstacleCount> obstacles(std::uint32_t wish, const Room& room);
  // The room that is left when everything assigned is there.
  const Room& room_left() const;

 private:
  struct Attempt;
  struct Need;
  struct Choice;
  enum class Fill { kSpread, kTight };

  void find_needs();
  void measure_sizes();
  std::vector<std::uint32_t> order(Fill fill, bool by_priority) const;
  Attempt attempt(const std::vector<std::uint32_t>& order, Fill fill) const;
  HostIndex choose(std::uint32_t wish, const Attempt& attempt, Fill fill, bool leaving) const;
  bool place(std::uint32_t wish, Attempt& attempt, Fill fill, bool leaving) const;
  void use_departures(const std::vector<std::uint32_t>& order, Attempt& attempt, Fill fill) const;
  void exchange(const std::vector<std::uint32_t>& order, Attempt& attempt) const;
  bool exchange_for(std::uint32_t wish, Attempt& attempt, unsigned& looks) const;
  bool better(const Attempt& a, const Attempt& b) const;

  const Fleet& fleet_;
  const std::vector<Wish>& wishes_;
  const std::vector<std::vector<HostIndex>>& destinations_;
  const Room start_;
  std::vector<Need> needs_;
  std::vector<std::uint32_t> need_of_;  // by wish
  std::vector<HostIndex> source_of_;    // by wish
  std::vector<double> size_;            // by wish: share of an average host
  double sources_need_ = 0;             // seconds in which the busiest source can have sent all
  std::unique_ptr<Attempt> best_;
};

}  // namespace drover::fleet
