// SPDX-License-Identifier: Apache-2.0
// What a host has for VMs and what it is doing, as it tells its peers (peer verb `capacity`,
// docs/peer_verbs.md). It is a picture of one instant, and not trusted: every move that is decided
// from it goes through its own plan. Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "fleet/fleet.h"
#include "model/host.h"
#include "model/move.h"
#include "model/vm.h"
#include "move/world.h"

namespace drover::place {

// A move that leaves the host and has begun.
struct Departure {
  std::string vm;               // UUID
  std::string destination_key;  // public key, hex: names of hosts are each host's own
  ByteCount disk_left, memory_left;
};

struct Capacity {
  HostFacts host;                        // with its settings
  std::vector<Vm> vms;                   // all that libvirt knows there
  std::vector<fleet::Storage> storages;  // where disks land that may not stay at their path
  BytesPerSecond link_out, link_in;      // of its fastest network device, as the device says
  std::vector<Departure> departures;
  bool evacuated = false;  // it is being emptied, or was and has not been given free
};

// Of this host. `vms`: all that are here; `moves`: those that leave it and have begun. An error:
// the hypervisor does not answer.
Result<Capacity> look_here(move::World& world, std::vector<Vm> vms, const std::vector<Move>& moves,
                           bool evacuated);

std::string to_json(const Capacity& capacity);
// kProtocol. Members that are not known are ignored.
Result<Capacity> capacity_from_json(std::string_view text);

}  // namespace drover::place
