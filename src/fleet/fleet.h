// SPDX-License-Identifier: Apache-2.0
// A picture of hosts and VMs at one instant, and the moves under way in it: what placing is decided
// from (docs/fleet.md). Plain values; names are unique within a fleet.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_count.h"
#include "base/error.h"

namespace drover::fleet {

struct Storage {
  std::string name;  // folder or pool
  ByteCount free;
};

struct FleetHost {
  std::string name;
  ByteCount memory_total;
  ByteCount memory_free;              // without what is reserved for moves under way
  std::uint32_t cores = 0;            // 0: unknown, no obstacle
  std::uint32_t vcpus = 0;            // of the VMs that are here
  std::vector<std::string> cpus;      // needs that its hypervisor said it meets
  std::vector<Storage> storages;      // free: without what is reserved for moves under way
  std::vector<std::string> shared;    // shared storages that it reaches
  std::vector<std::string> networks;  // that guests can be plugged into
  unsigned live_moves = 2;            // at once, incoming and outgoing together
  BytesPerSecond link_out, link_in;
  bool incoming = true;  // as its settings say
  bool outgoing = true;
  bool evacuated = false;    // is being evacuated: never a destination
  bool unreachable = false;  // nothing starts, nothing arrives
};

struct FleetVm {
  std::string id;    // UUID
  std::string name;  // for people
  std::string host;
  ByteCount memory;
  std::uint32_t vcpus = 1;
  std::string cpu;                    // the need of its CPU; empty: every host meets it
  std::vector<std::string> networks;  // that must be there
  std::vector<std::string> shared;    // shared storages that must be there
  ByteCount disk_bytes;               // to copy
  ByteCount disk_space;               // that the copies need there
  BytesPerSecond dirty_rate;          // memory that the guest changes; 0: unknown or none
  int priority = 0;                   // higher goes first
  std::string planned_to;             // host of an earlier plan, kept if possible; or empty
};

struct RunningMove {
  std::string vm;  // its id; its `host` is the source
  std::string destination;
  std::string storage;  // there, where its disks land; empty: none are copied
  ByteCount disk_left;  // bytes still to be sent, as if the guest wrote nothing
  ByteCount memory_left;
};

struct Fleet {
  std::vector<FleetHost> hosts;
  std::vector<FleetVm> vms;
  std::vector<RunningMove> running;
};

using Seconds = std::chrono::duration<double>;

// Parts of a move in which nothing is sent.
struct MoveTiming {
  Seconds prepare{2};
  Seconds finish{1};
  Seconds patience{120};  // after which a move is given up whose other host is unreachable
};

inline bool holds(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// Of `rate`, what the copy of a guest's memory gains that changes so much of it: at least a tenth.
constexpr double memory_gain(double rate, BytesPerSecond dirty_rate) {
  const double gain = rate - static_cast<double>(dirty_rate.value);
  return gain > rate / 10 ? gain : rate / 10;
}

// The guest changes more than nine tenths of what the rate carries.
constexpr bool outruns(double rate, BytesPerSecond dirty_rate) {
  return static_cast<double>(dirty_rate.value) > rate * 0.9;
}

// Seconds that a move takes with so much of the links to itself. REQUIRES: rate > 0.
inline Seconds time_alone(const FleetVm& vm, double rate, const MoveTiming& timing) {
  const double copy = static_cast<double>(vm.disk_bytes.bytes) / rate +
                      static_cast<double>(vm.memory.bytes) / memory_gain(rate, vm.dirty_rate);
  return timing.prepare + timing.finish + Seconds(copy);
}

// Names and numbers that cannot be: doubles, VMs on hosts that there are not. kInvalidArgument.
Status check_fleet(const Fleet& fleet);

}  // namespace drover::fleet
