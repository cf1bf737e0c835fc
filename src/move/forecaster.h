// SPDX-License-Identifier: Apache-2.0
// Gives plans their forecast: looks at the guest, the disks and the way, and asks the journal how
// earlier moves went. What was measured is used again for some seconds. Any thread.
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

namespace drover::move {

struct World;

class Forecaster {
 public:
  // Before the plan's checks, so that the guest is measured while they run. Returns at once; errors
  // only make the forecast poorer.
  void begin(World& world, const MoveRequest& request);
  // Of a plan that may be carried out; may take a second and a half. Nothing: there are blockers.
  // REQUIRES: all else of the plan is there.
  std::optional<Forecast> make(World& world, const Plan& plan);

 private:
  struct Measured {
    BytesPerSecond rate;
    std::chrono::steady_clock::time_point at;
  };
  using Book = std::map<std::string, Measured, std::less<>>;

  forecast::Scene scene_of(World& world, const Plan& plan, std::vector<std::string>& notes);
  void add_guest(World& world, const Plan& plan, forecast::Scene& scene,
                 std::vector<std::string>& notes);
  void add_road(World& world, const Plan& plan, forecast::Scene& scene,
                std::vector<std::string>& notes);
  void add_places(World& world, const Plan& plan, forecast::Scene& scene);
  std::optional<GuestLoad> measured_load(World& world, const std::string& uuid);
  // REQUIRES: mutex_ held, of both.
  static std::optional<BytesPerSecond> recall(const Book& book, const std::string& what,
                                              std::chrono::seconds age);
  static void remember(Book& book, const std::string& what, BytesPerSecond rate);

  std::mutex mutex_;  // guards all below
  Book guests_;       // by UUID, and by how they were named
  Book links_;        // by host and addresses
};

}  // namespace drover::move
