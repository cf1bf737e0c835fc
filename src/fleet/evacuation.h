// SPDX-License-Identifier: Apache-2.0
// Plans for many moves: evacuate hosts, bring VMs home, and the same anew from the middle
// (docs/fleet.md). Pure; the answer depends on nothing but the arguments, not even on their order.
#pragma once

#include <string>
#include <vector>

#include "fleet/obstacle.h"
#include "fleet/timetable.h"

namespace drover::fleet {

// VMs, by id, and the names of the hosts where each of them may go; none: every host.
struct Group {
  std::vector<std::string> vms;
  std::vector<std::string> destinations;
};

struct PlannedMove {
  std::string vm;  // its id
  std::string source, destination;
  std::string storage;        // there, for its disks; empty: none are copied
  bool running = false;       // under way already
  Seconds start{}, end{};     // from the picture's instant on
  double bytes = 0;           // forecast of what it sends from now on
  BytesPerSecond share;       // of the links, on average while it copies
  bool outruns_link = false;  // the guest writes faster than its share carries, at some time
};

struct SharePart {
  Seconds at{};
  std::size_t move = 0;  // index into `moves`
  double share = 0;      // bytes a second, until the move's next part
};

struct Hindrance {
  WhyNot why;          // of one host
  unsigned hosts = 0;  // how many have this obstacle first
};

struct NotMoved {
  std::string vm;
  std::vector<Hindrance> hindrances;  // most hosts first
};

struct FleetPlan {
  std::vector<PlannedMove> moves;  // by start, then in the order of rank
  std::vector<NotMoved> not_moved;
  std::vector<SharePart> shares;  // in the order of time
  Seconds end{};
};

// Errors: kInvalidArgument: an impossible fleet (check_fleet), an unknown name, a VM in two groups.
// VMs that are on their only destination, or under way, need no move and are in no list.
Result<FleetPlan> plan_moves(const Fleet& fleet, const std::vector<Group>& groups,
                             const MoveTiming& timing = {});

// All VMs of these hosts, which count as evacuated, to any of `to`; none: every other host.
// kInvalidArgument also: a host is to be evacuated to itself.
Result<FleetPlan> evacuate(Fleet fleet, const std::vector<std::string>& hosts,
                           const std::vector<std::string>& to, const MoveTiming& timing = {});

// These VMs back to that host, which counts as evacuated no more.
Result<FleetPlan> return_home(Fleet fleet, const std::string& host,
                              const std::vector<std::string>& vms, const MoveTiming& timing = {});

}  // namespace drover::fleet
