// SPDX-License-Identifier: Apache-2.0
// Fleets made by a seed, for tests and for bench/fleet_bench.
#pragma once

#include <random>
#include <string>

#include <fmt/format.h>

#include "fleet/evacuation.h"

namespace drover::fleet {

struct FleetKnobs {
  unsigned hosts = 10;
  unsigned vms = 100;
  unsigned sources = 1;     // the first so many hosts have all VMs; 0: all hosts have some
  unsigned live_moves = 2;  // of every host; 0: one to four, by chance
  double fill = 0.5;        // memory of all VMs as a share of the memory of the others
  bool same_hosts = true;   // else memory, cores, links and what they have differ
  bool any_dirty = true;    // guests change memory
  unsigned priorities = 1;
};

class RandomFleet {
 public:
  RandomFleet(const FleetKnobs& knobs, unsigned seed) : knobs_(knobs), random_(seed) {}

  Fleet make() {
    Fleet fleet;
    for (unsigned i = 0; i < knobs_.hosts; ++i) fleet.hosts.push_back(host(i));
    for (unsigned i = 0; i < knobs_.vms; ++i) fleet.vms.push_back(vm(i));
    fit_memory(fleet);
    return fleet;
  }

  unsigned below(unsigned count) { return static_cast<unsigned>(random_() % count); }
  bool chance(double share) { return static_cast<double>(random_()) / 4294967296.0 < share; }

 private:
  FleetHost host(unsigned i) {
    FleetHost made;
    made.name = fmt::format("host{:04}", i);
    made.cores = 64;
    made.live_moves = knobs_.live_moves != 0 ? knobs_.live_moves : 1 + below(4);
    made.link_out = made.link_in = {1'250'000'000};
    made.networks = {"lan"};
    made.cpus = {"old"};
    made.storages = {{"default", gib(20'000)}};
    if (knobs_.same_hosts) {
      made.cpus.push_back("new");
      return made;
    }
    if (chance(0.6)) made.cpus.push_back("new");
    if (chance(0.8)) made.networks.push_back("dmz");
    if (chance(0.5)) made.shared.push_back("san");
    if (chance(0.5)) made.link_in = {125'000'000};
    if (chance(0.2)) made.link_out = {125'000'000};
    made.cores = 8u << below(4);
    made.storages = {{"default", gib(200 + below(2000))}, {"fast", gib(below(1000))}};
    return made;
  }

  FleetVm vm(unsigned i) {
    FleetVm made;
    made.id = fmt::format("vm{:05}", i);
    made.name = "guest " + std::to_string(i);
    const unsigned sources = knobs_.sources == 0 ? knobs_.hosts : knobs_.sources;
    made.host = fmt::format("host{:04}", knobs_.sources == 1 ? 0 : below(sources));
    made.memory = gib(1u << below(6));
    made.vcpus = 1u << below(4);
    made.disk_bytes = gib(below(4) == 0 ? 0 : 1 + below(60));
    made.disk_space = made.disk_bytes;
    if (knobs_.any_dirty && chance(0.7)) made.dirty_rate = {below(20'000'000)};
    made.priority = static_cast<int>(below(knobs_.priorities));
    if (knobs_.same_hosts) return made;
    if (chance(0.3)) made.cpu = "new";
    if (chance(0.2)) made.networks = {"dmz"};
    if (chance(0.1)) made.shared = {"san"};
    return made;
  }

  // Hosts are so large that the VMs fill `fill` of those that are no sources.
  void fit_memory(Fleet& fleet) {
    std::uint64_t all = 0;
    for (const FleetVm& vm : fleet.vms) all += vm.memory.bytes;
    const unsigned others =
        knobs_.sources == 0 ? knobs_.hosts : std::max(1u, knobs_.hosts - knobs_.sources);
    for (FleetHost& host : fleet.hosts) {
      auto bytes = static_cast<double>(all) / others / knobs_.fill;
      if (!knobs_.same_hosts) bytes *= 0.5 + below(100) / 100.0;
      std::uint64_t here = 0;
      for (const FleetVm& vm : fleet.vms) {
        if (vm.host != host.name) continue;
        here += vm.memory.bytes;
        host.vcpus += vm.vcpus;
      }
      host.memory_total = {std::max(here, static_cast<std::uint64_t>(bytes))};
      host.memory_free = host.memory_total - ByteCount{here};
    }
  }

  const FleetKnobs knobs_;
  std::mt19937 random_;
};

inline std::vector<std::string> first_hosts(const Fleet& fleet, unsigned count) {
  std::vector<std::string> names;
  for (unsigned i = 0; i < count; ++i) names.push_back(fleet.hosts[i].name);
  return names;
}

}  // namespace drover::fleet
