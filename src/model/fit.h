// SPDX-License-Identifier: Apache-2.0
// How VMs fit hosts: a CPU that several hosts have, where VMs could go, and changes that took an
// obstacle out of a move's way. Plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/access.h"
#include "model/plan.h"

namespace drover {

// A change that took away what a finding told of, and that can be undone (docs/fixes.md).
struct AppliedFix {
  std::string id;                // 8 characters
  std::string code;              // the finding's
  std::string object;            // likewise
  std::string host;              // on which it was made
  std::string vm_uuid, vm_name;  // empty: it is of the host
  std::string done;              // one sentence
  std::string undo;              // what its undo does; one sentence
  std::string before;            // what the undo brings back, as it was
  std::string after;             // as the fix left it: what is otherwise now is not undone
  std::string requested_by;
  std::chrono::system_clock::time_point applied_at;
  std::optional<std::chrono::system_clock::time_point> undone_at;
};

// The most that a guest can have on each of some hosts (docs/cpu_compat.md).
struct CpuCompat {
  std::string vm_uuid, vm_name;
  std::vector<std::string> hosts;  // the VM's own first
  std::string now;                 // the model that its definition asks for: "host-model", "EPYC"
  std::string model;               // that all have
  std::vector<std::string> features;  // beyond the model: "+pcid", "-tsx"
  std::vector<std::string> lost;      // that the VM's own host could give, and not all of them
  bool as_it_is = false;              // the definition says so already
  bool running = false;               // it gets it when it is next started
  std::string fix;                    // the AppliedFix that wrote it; empty: only looked
};

// Whether, and how, a VM could go to a host now.
struct MobilityPlace {
  std::string host;
  MoveKind kind = MoveKind::kLive;
  bool possible = false;
  std::vector<std::string> warnings;  // codes to be accepted
  std::vector<Finding> blockers;
  std::string text;  // why there is no plan; empty: there is one
};

// One change, and what it would give.
struct MobilityChange {
  Finding finding;                 // what is to be mended
  std::vector<std::string> hosts;  // that could take the VM then
};

struct VmMobility {
  std::string vm_uuid, vm_name, host;
  VmState state = VmState::kOther;
  std::string move_id;  // it is in this move, and nobody was asked; else empty
  std::vector<MobilityPlace> places;
  std::vector<std::string> hosts_now;    // that could take it, in some way
  std::optional<MobilityChange> change;  // nothing: none adds a place
};

struct Mobility {
  std::vector<VmMobility> vms;
  std::vector<UnreachableHost> unreachable;
};

}  // namespace drover
