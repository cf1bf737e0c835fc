// SPDX-License-Identifier: Apache-2.0
// Looks at a guest on its source while it is copied: what it did there is what may be missed
// afterwards. A thread of its own, since its agent may take seconds to answer.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "hypervisor/hypervisor.h"
#include "model/after.h"

namespace drover::move {

class BeforeSampler {
 public:
  // REQUIRES: the hypervisor outlives this.
  BeforeSampler(Hypervisor& hypervisor, std::string uuid);
  // Waits for a look that is under way: some seconds at most.
  ~BeforeSampler();

  // Looks no more; returns at once.
  void stop() { thread_.request_stop(); }
  // What was seen so far; returns at once.
  HealthBefore seen() const;

 private:
  void run(std::stop_token stop);

  Hypervisor& hypervisor_;
  const std::string uuid_;
  mutable std::mutex mutex_;  // guards both
  std::optional<GuestSigns> early_, late_;
  std::condition_variable_any stopping_;
  std::jthread thread_;  // last: it uses what stands above
};

}  // namespace drover::move
