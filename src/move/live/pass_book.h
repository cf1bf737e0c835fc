// SPDX-License-Identifier: Apache-2.0
// QEMU's passes over the guest's memory, kept from two sources: the hypervisor says which pass it
// is and what is left, the mover what went. One thread: the move's own.
#pragma once

#include <chrono>
#include <vector>

#include "hypervisor/hypervisor.h"
#include "model/move.h"
#include "move/carriers.h"

namespace drover::move {

class PassBook {
 public:
  using Clock = std::chrono::steady_clock;
  // A guest that does not converge has passes without end: of more than these, early ones are
  // added together.
  static constexpr std::size_t kPassesMax = 64;

  // `known`: what an earlier droverd had written down; what it saw last is over.
  explicit PassBook(std::vector<MemoryPass> known = {});

  // A pass that take() has not seen: counts as of now tell best where the last one ended.
  bool is_new(const JobProgress& job) const;
  // Nothing while disks are copied. `wire` counts from the move's beginning.
  void take(const JobProgress& job, const WireCount& wire, Clock::time_point now);
  // All memory has gone. Later calls do nothing.
  void end(const WireCount& wire, Clock::time_point now);

  const std::vector<MemoryPass>& passes() const { return passes_; }

 private:
  void count(const WireCount& wire, Clock::time_point now);
  void begin(const JobProgress& job, const WireCount& wire, Clock::time_point now);

  std::vector<MemoryPass> passes_;
  bool under_way_ = false;  // the last of passes_
  bool ended_ = false;
  bool taken_up_ = false;  // an earlier droverd saw the beginning
  WireCount before_;       // as the pass under way began
  Clock::time_point began_;
};

}  // namespace drover::move
