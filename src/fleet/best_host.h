// SPDX-License-Identifier: Apache-2.0
// The best possible host for one VM, with the reason, and why not each other (docs/fleet.md). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fleet/obstacle.h"

namespace drover::fleet {

struct HostVerdict {
  std::string host;
  bool possible = false;
  double load = 0;                // of the host with the VM on it; 1: full
  Seconds forecast{};             // of a move with the links to itself; only if possible
  bool outruns_link = false;      // the guest writes faster than that carries
  std::string why;                // one sentence; only if possible
  std::vector<WhyNot> obstacles;  // empty if possible, else all there are
};

struct BestHost {
  std::vector<WhyNot> stays;       // why the VM cannot leave at all; then no host is possible
  std::vector<HostVerdict> hosts;  // possible ones first, the best in front; then by name
  const HostVerdict* best() const {
    return hosts.empty() || !hosts.front().possible ? nullptr : &hosts.front();
  }
};

// `among`: names of hosts; empty: every host. kNotFound: there is no such VM or host.
Result<BestHost> best_host(const Fleet& fleet, std::string_view vm_id,
                           const std::vector<std::string>& among, const MoveTiming& timing = {});

// Why this VM cannot leave, or nothing.
std::vector<Obstacle> source_obstacles(const FleetHost& source);

}  // namespace drover::fleet
