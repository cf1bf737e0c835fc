// SPDX-License-Identifier: Apache-2.0
// What hosts have left while VMs are placed on them, by index into the fleet; fast enough to look
// at every host for every VM. Begins with what running moves have reserved. The fleet must outlive
// it. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "fleet/fleet.h"
#include "fleet/obstacle.h"

namespace drover::fleet {

using HostIndex = std::uint32_t;
using VmIndex = std::uint32_t;
inline constexpr std::uint32_t kNone = UINT32_MAX;

class Room {
 public:
  explicit Room(const Fleet& fleet);

  HostIndex host(std::string_view name) const;                         // kNone: there is no such
  std::uint32_t storage(HostIndex host, std::string_view name) const;  // kNone: no such
  // The host with the free memory and space that it has left now.
  FleetHost as_left(HostIndex host) const;
  // What does not change by placing: state, CPU, networks, shared storages, cores. That the VM is
  // there already is not looked at.
  bool suits(const FleetVm& vm, HostIndex host) const;
  // Memory and disk space are there. `leaving`: count also what departs from there (depart()).
  bool fits(const FleetVm& vm, HostIndex host, bool leaving = false) const {
    const std::int64_t free = memory_[host] + (leaving ? leaving_[host] : 0);
    return free >= static_cast<std::int64_t>(vm.memory.bytes) &&
           (vm.disk_space.bytes == 0 || largest_[host] >= vm.disk_space.bytes);
  }
  bool fits_at(const FleetVm& vm, HostIndex host, std::uint32_t storage) const {
    return memory_[host] >= static_cast<std::int64_t>(vm.memory.bytes) &&
           (storage == kNone || storages_[host][storage] >= vm.disk_space.bytes);
  }
  // The first reason why suits() is false. REQUIRES: it is.
  Obstacle unsuited(const FleetVm& vm, HostIndex host) const;
  // Every obstacle for this VM on this host, in the enum's order.
  std::vector<Obstacle> obstacles(const FleetVm& vm, HostIndex host) const;

  // Of 0 to 1 and above: see docs/fleet.md.
  double load_with(const FleetVm& vm, HostIndex host) const;
  std::int64_t memory_free(HostIndex host) const { return memory_[host]; }

  // Where its disks would go, kNone if it copies none.
  std::uint32_t roomiest(const FleetVm& vm, HostIndex host) const;
  // The VM's place on the host; gives roomiest().
  // REQUIRES: fits(vm, host, true). Memory may be overdrawn by what departs.
  std::uint32_t take(const FleetVm& vm, HostIndex host);
  void take_at(const FleetVm& vm, HostIndex host, std::uint32_t storage);
  void give_back(const FleetVm& vm, HostIndex host, std::uint32_t storage);
  // The VM is going to leave the host: `leaving` counts it.
  void depart(const FleetVm& vm, HostIndex host);
  void stay(const FleetVm& vm, HostIndex host);
  // It has left: its memory is free.
  void gone(const FleetVm& vm, HostIndex host);

 private:
  void measure(HostIndex host);

  const Fleet& fleet_;
  std::unordered_map<std::string_view, HostIndex> names_;
  // By host, bytes. Free memory is below 0 where departures are counted on.
  std::vector<std::int64_t> memory_, leaving_;
  std::vector<std::uint64_t> vcpus_;
  std::vector<std::uint64_t> largest_;                // free space of the roomiest storage
  std::vector<std::vector<std::uint64_t>> storages_;  // free space
};

}  // namespace drover::fleet
