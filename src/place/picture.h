// SPDX-License-Identifier: Apache-2.0
// The fleet as this host sees it at one instant: itself and its paired hosts, all asked at once. A
// host that does not answer is in it as unreachable. What peers say is bounded and sorted here, so
// that nothing they say makes the planner fail. Any thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "fleet/fleet.h"
#include "place/capacity.h"

namespace drover::place {

struct Picture {
  fleet::Fleet fleet;
  std::string here;                                          // this host's name
  std::map<std::string, Vm, std::less<>> vms;                // by UUID; `host` is where it is
  std::map<std::string, std::string, std::less<>> troubles;  // host -> why it cannot be asked
};

// What a peer answered, under our name for it.
struct PeerAnswer {
  Peer peer;
  Result<Capacity> capacity;
};

// Pure. `here`: an error is told as this host's trouble.
Picture make_picture(std::string_view here_name, std::string_view here_key,
                     const Result<Capacity>& here, const std::vector<PeerAnswer>& peers);

// Asks every paired host; returns within a few seconds.
std::vector<PeerAnswer> ask_peers(move::World& world);

// Bytes that a copy of the VM's disks sends, and needs at the destination.
ByteCount disks_of(const Vm& vm);

}  // namespace drover::place
