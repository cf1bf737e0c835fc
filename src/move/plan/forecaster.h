// SPDX-License-Identifier: Apache-2.0
// Gives plans their forecast: looks at the guest, the disks and the way, and asks the journal how
// earlier moves went. What was measured is used again for a while. Any thread.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "forecast/scene.h"
#include "hypervisor/hypervisor.h"
#include "model/plan.h"
#include "move/plan/rate_book.h"

namespace drover::move {

struct World;

class Forecaster {
 public:
  Forecaster();

  // Before the plan's checks, so that the guest is measured while they run. Returns at once; errors
  // only make the forecast poorer.
  void begin(World& world, const MoveRequest& request);
  // Of a plan that may be carried out. Takes as long as the way needs to be measured, about half a
  // second, or not even that. Unless the request is in a hurry, or of a guest that nobody has
  // measured for some minutes, up to a second more. Nothing: there are blockers.
  // REQUIRES: all else of the plan is there.
  std::optional<Forecast> make(World& world, const Plan& plan);

  // Rates of this host's disks, by what was tried (measure.h).
  RateBook& disks() { return disks_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Guest {
    std::optional<BytesPerSecond> rate;  // of memory that it changes, as measured last
    Clock::time_point measured_at;
    Clock::time_point asked_at;  // when a measurement was last begun for a plan
  };

  forecast::Scene scene_of(World& world, const Plan& plan, std::vector<std::string>& notes);
  void measure_move(World& world, const Plan& plan, forecast::Scene& scene,
                    std::vector<std::string>& notes);
  void add_guest(World& world, const Plan& plan, forecast::Scene& scene,
                 std::vector<std::string>& notes);
  BytesPerSecond read_rate(const Plan& plan);
  std::optional<GuestLoad> load_of(World& world, const Plan& plan);
  void remember(const std::string& vm, const GuestLoad& load);
  Guest known(const std::string& vm);
  Guest& guest_of(const std::string& vm);  // under mutex_

  RateBook disks_;
  RateBook links_;                                    // by host and addresses
  std::mutex mutex_;                                  // guards guests_
  std::map<std::string, Guest, std::less<>> guests_;  // by how requests name them; bounded
};

}  // namespace drover::move
