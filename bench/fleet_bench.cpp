// SPDX-License-Identifier: Apache-2.0
// How long planning takes and how good the plans are (docs/fleet.md), on fleets made by seeds.
// Usage: fleet_bench [SEEDS]: so many evacuations of each kind, 20 without.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <vector>

#include "fleet/best_host.h"
#include "fleet/lower_bound.h"
#include "fleet/random_fleet_fixture.h"
#include "fleet/simulation_fixture.h"

namespace drover::fleet {
namespace {

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

template <typename Work>
double seconds_of(Work work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Scale {
  const char* name;
  FleetKnobs knobs;
  unsigned evacuated;
};

void time_plans(unsigned runs) {
  std::printf("Planning, one thread, median and longest of %u:\n", runs);
  FleetKnobs spread{.hosts = 1000, .vms = 10'000, .sources = 0, .fill = 0.45, .same_hosts = false};
  FleetKnobs half = spread;
  half.sources = 500;
  FleetKnobs full = half;
  full.fill = 1.1;
  for (const Scale& scale :
       {Scale{"10,000 VMs on 1,000 hosts, 100 of them evacuated", spread, 100},
        Scale{"10,000 VMs on 500 of 1,000 hosts, all 500 evacuated", half, 500},
        Scale{"the same, with more memory in use than the others have", full, 500}}) {
    std::vector<double> took;
    std::size_t moves = 0, left = 0;
    for (unsigned seed = 1; seed <= runs; ++seed) {
      const Fleet fleet = RandomFleet(scale.knobs, seed).make();
      Result<FleetPlan> plan;
      took.push_back(
          seconds_of([&] { plan = evacuate(fleet, first_hosts(fleet, scale.evacuated), {}); }));
      moves = plan->moves.size();
      left = plan->not_moved.size();
    }
    std::printf("  %-58s %6.3f s  %6.3f s   (%zu moves, %zu cannot)\n", scale.name, median(took),
                std::ranges::max(took), moves, left);
  }
  const Fleet fleet = RandomFleet(spread, 1).make();
  const double took = seconds_of([&] { (void)best_host(fleet, fleet.vms[0].id, {}); });
  std::printf("  %-58s %6.3f s\n\n", "the best possible host of 1,000 for one VM", took);
}

void simulate(const char* name, const FleetKnobs& knobs, unsigned source_moves, double surprise,
              unsigned runs) {
  std::vector<double> planned, simulated;
  std::map<std::string, int> bounds;
  unsigned left = 0;
  for (unsigned seed = 1; seed <= runs; ++seed) {
    Fleet fleet = RandomFleet(knobs, seed).make();
    fleet.hosts[0].live_moves = source_moves;
    std::vector<VmIndex> vms(fleet.vms.size());
    for (VmIndex i = 0; i < vms.size(); ++i) vms[i] = i;
    std::vector<HostIndex> others;
    for (HostIndex i = 1; i < fleet.hosts.size(); ++i) others.push_back(i);
    const LowerBound bound = lower_bound(fleet, vms, others, {});
    ++bounds[std::string(bound.which())];
    const auto plan = evacuate(fleet, first_hosts(fleet, 1), {});
    planned.push_back(plan->end / bound.most());
    // What is known only afterwards is in the bound of the simulated one too.
    Simulation simulation(fleet, first_hosts(fleet, 1), surprise, seed);
    const auto end = simulation.run();
    Fleet as_it_was = fleet;
    for (FleetVm& vm : as_it_was.vms) {
      const double factor = simulation.factor(vm.id);
      vm.memory = {static_cast<std::uint64_t>(static_cast<double>(vm.memory.bytes) * factor)};
      vm.disk_bytes = {
          static_cast<std::uint64_t>(static_cast<double>(vm.disk_bytes.bytes) * factor)};
    }
    simulated.push_back(end->makespan / lower_bound(as_it_was, vms, others, {}).most());
    left += static_cast<unsigned>(end->left.size());
  }
  std::string which;
  for (const auto& [bound, count] : bounds)
    which += fmt::format("{}{} {}", which.empty() ? "" : ", ", bound, count);
  std::printf("  %-44s %6.3f %6.3f   %6.3f %6.3f   %u left, bound: %s\n", name, median(planned),
              std::ranges::max(planned), median(simulated), std::ranges::max(simulated), left,
              which.c_str());
}

}  // namespace

int bench(unsigned runs) {
  time_plans(std::min(runs, 5u));
  std::printf(
      "Evacuations of one host with 100 VMs; time over the lower bound, median and most of "
      "%u:\n%48s plan            simulated\n",
      runs, "");
  const FleetKnobs plain{.hosts = 11, .vms = 100, .any_dirty = false};
  FleetKnobs busy = plain;
  busy.any_dirty = true;
  FleetKnobs mixed = busy;
  mixed.same_hosts = false;
  mixed.hosts = 21;
  mixed.fill = 0.35;
  simulate("10 at a time, guests that change nothing", plain, 10, 0, runs);
  simulate("10 at a time, busy guests", busy, 10, 0, runs);
  simulate("10 at a time, busy, forecasts 30 % wrong", busy, 10, 0.3, runs);
  simulate("10 at a time, busy, 20 unlike hosts", mixed, 10, 0.3, runs);
  simulate("2 at a time, busy", busy, 2, 0.3, runs);
  return 0;
}

}  // namespace drover::fleet

int main(int argc, char** argv) {
  const int runs = argc > 1 ? std::atoi(argv[1]) : 20;
  return drover::fleet::bench(static_cast<unsigned>(std::clamp(runs, 1, 10'000)));
}
