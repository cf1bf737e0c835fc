// SPDX-License-Identifier: Apache-2.0
// Has QEMU measure now and then how much memory each running guest changes, so that a plan need not
// wait for it (docs/forecast.md). The hypervisor keeps the outcome. One thread.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "hypervisor/hypervisor.h"

namespace drover::move {

class GuestSampler {
 public:
  using Clock = std::chrono::steady_clock;
  // `here`: this host's VMs, with the moves that they are in. Both outlive it.
  GuestSampler(Hypervisor& hypervisor, std::function<std::vector<Vm>()> here)
      : hypervisor_(hypervisor), here_(std::move(here)) {}

  // Begins to look, until it is destroyed. Call once.
  void start();
  // One look: of the VMs that are due the one that waits longest is measured, and no other. Its
  // thread's own; for tests.
  void look(Clock::time_point now);

 private:
  bool may_be_sampled(const std::string& uuid);

  Hypervisor& hypervisor_;
  const std::function<std::vector<Vm>()> here_;
  std::map<std::string, Clock::time_point> due_;  // when, by UUID; of guests that run
  std::jthread thread_;
};

}  // namespace drover::move
