// SPDX-License-Identifier: Apache-2.0
// Why a VM cannot go to a host. Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fleet/fleet.h"

namespace drover::fleet {

enum class Obstacle : std::uint8_t {
  kIsHere,         // the VM is on this host already
  kUnreachable,    // the host does not answer
  kEvacuated,      // the host is being evacuated
  kIncomingOff,    // its settings take no VMs
  kNoMoves,        // its live-moves is 0, or its link carries nothing
  kMemory,         // too little free
  kCores,          // fewer than the VM has vCPUs
  kCpu,            // its hypervisor does not meet the guest's CPU
  kNetwork,        // a network of the VM is missing
  kSharedStorage,  // a shared storage of the VM is not reached
  kDiskSpace,      // no storage has room for the disks
  // Of the VM itself, wherever it should go:
  kSourceUnreachable,
  kSourceOutgoingOff,  // settings, live-moves of 0, or a link that carries nothing
  kMoving,             // a move of it is under way
  kUndecided,          // a move of it is under way, and one of its hosts is unreachable
  kCircle,             // room would come free only by moves that wait for this one
};
inline constexpr int kObstacles = 16;

// "MEMORY_SHORT": stable, for scripts.
std::string_view obstacle_name(Obstacle obstacle);

struct WhyNot {
  Obstacle obstacle{};
  std::string what;  // one sentence
  std::string fix;   // a sentence or a command; empty: there is none
};

// For people. `host`: the one that is not possible; of obstacles of the VM itself, its source.
WhyNot why_not(Obstacle obstacle, const FleetVm& vm, const FleetHost& host);

}  // namespace drover::fleet
