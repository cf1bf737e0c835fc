// SPDX-License-Identifier: Apache-2.0
// Whether a plan keeps what docs/fleet.md promises, judged from the picture and the plan alone: it
// uses nothing of the planner's own code.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "fleet/evacuation.h"

namespace drover::fleet {

class PlanChecker {
 public:
  PlanChecker(const Fleet& fleet, const FleetPlan& plan, const MoveTiming& timing = {})
      : fleet_(fleet), plan_(plan), timing_(timing) {
    for (const FleetHost& host : fleet.hosts) hosts_[host.name] = &host;
    for (const FleetVm& vm : fleet.vms) vms_[vm.id] = &vm;
    for (const RunningMove& move : fleet.running) running_[move.vm] = &move;
  }

  // What is wrong; empty: nothing. `asked`: ids of the VMs that were to move.
  std::vector<std::string> faults(const std::vector<std::string>& asked) {
    check_once(asked);
    for (const PlannedMove& move : plan_.moves) check_destination(move);
    check_sums();
    check_shares();
    return faults_;
  }

  // The most starts on a move's hosts, by moves of a lower priority, that it had to wait for.
  unsigned passed_most() const {
    unsigned most = 0;
    for (const PlannedMove& waits : plan_.moves) {
      unsigned passed = 0;
      if (waits.running) continue;
      for (const PlannedMove& other : plan_.moves) {
        if (other.running || other.start >= waits.start) continue;
        if (vms_.at(other.vm)->priority >= vms_.at(waits.vm)->priority) continue;
        const std::set<std::string> ends{other.source, other.destination};
        passed += ends.contains(waits.source) || ends.contains(waits.destination);
      }
      most = std::max(most, passed);
    }
    return most;
  }

 private:
  void fault(std::string text) {
    if (faults_.size() < 20) faults_.push_back(std::move(text));
  }

  void check_once(const std::vector<std::string>& asked) {
    std::map<std::string, int> times;
    for (const PlannedMove& move : plan_.moves) ++times[move.vm];
    for (const NotMoved& vm : plan_.not_moved) {
      ++times[vm.vm];
      if (vm.hindrances.empty()) fault(vm.vm + " cannot move, and nobody says why");
    }
    for (const std::string& vm : asked) {
      if (times[vm] == 0) fault(vm + " is in no list");
    }
    for (const auto& [vm, count] : times) {
      if (count > 1) fault(vm + " is there more than once");
    }
  }

  void check_destination(const PlannedMove& move) {
    const FleetHost& host = *hosts_.at(move.destination);
    const FleetVm& vm = *vms_.at(move.vm);
    if (move.source != vm.host) fault(vm.id + " is not where it starts");
    if (move.running) return;
    const auto all_in = [](const auto& wanted, const auto& there) {
      return std::ranges::all_of(
          wanted, [&](const auto& name) { return std::ranges::count(there, name) > 0; });
    };
    if (move.destination == vm.host) fault(vm.id + " goes where it is");
    if (host.evacuated) fault(vm.id + " goes to a host that is being evacuated");
    if (host.unreachable || !host.incoming) fault(vm.id + " goes to a host that takes nothing");
    if (!vm.cpu.empty() && std::ranges::count(host.cpus, vm.cpu) == 0) fault(vm.id + ": its CPU");
    if (!all_in(vm.networks, host.networks)) fault(vm.id + ": its networks");
    if (!all_in(vm.shared, host.shared)) fault(vm.id + ": its shared storage");
    if (host.cores != 0 && host.cores < vm.vcpus) fault(vm.id + ": its vCPUs");
    if ((vm.disk_space.bytes > 0) == move.storage.empty()) fault(vm.id + ": its disks");
    const FleetHost& source = *hosts_.at(vm.host);
    if (source.unreachable || !source.outgoing) fault(vm.id + " cannot leave");
  }

  // Slots and memory on both hosts and disk space at every instant; what ends does so before what
  // starts at the same time.
  void check_sums() {
    struct Change {
      Seconds at;
      bool begins;
      const PlannedMove* move;
    };
    std::vector<Change> changes;
    std::map<std::string, int> slots;
    std::map<std::string, std::int64_t> memory;
    std::map<std::pair<std::string, std::string>, std::int64_t> space;
    std::map<std::string, int> allowed;
    for (const FleetHost& host : fleet_.hosts) {
      memory[host.name] = static_cast<std::int64_t>(host.memory_free.bytes);
      allowed[host.name] = static_cast<int>(std::min(host.live_moves, 1'000'000u));
      for (const Storage& storage : host.storages)
        space[{host.name, storage.name}] = static_cast<std::int64_t>(storage.free.bytes);
    }
    for (const PlannedMove& move : plan_.moves) {
      changes.push_back({move.start, true, &move});
      changes.push_back({move.end, false, &move});
      if (move.end < move.start) fault(move.vm + " ends before it starts");
      if (move.running) continue;
      if (move.end - move.start < timing_.prepare + timing_.finish - Seconds(1e-6))
        fault(move.vm + " takes no time");
    }
    std::map<std::string, int> running_at;
    for (const RunningMove& move : fleet_.running) {
      ++running_at[vms_.at(move.vm)->host];
      ++running_at[move.destination];
    }
    for (auto& [host, count] : running_at) allowed[host] = std::max(allowed[host], count);
    std::ranges::stable_sort(changes, [](const Change& a, const Change& b) {
      if (std::abs((a.at - b.at).count()) > 1e-9) return a.at < b.at;
      return !a.begins && b.begins;
    });
    for (const Change& change : changes) {
      const PlannedMove& move = *change.move;
      const FleetVm& vm = *vms_.at(move.vm);
      const auto bytes = static_cast<std::int64_t>(vm.memory.bytes);
      for (const std::string& host : {move.source, move.destination}) {
        slots[host] += change.begins ? 1 : -1;
        if (slots[host] > allowed[host]) {
          fault(fmt::format("{} at once on {}, which allows {}, at {} s", slots[host], host,
                            allowed[host], change.at.count()));
        }
      }
      if (!change.begins) memory[move.source] += bytes;
      if (!change.begins) continue;
      memory[move.destination] -= bytes;
      if (memory[move.destination] < 0) fault(move.destination + " has no memory for " + vm.id);
      if (move.storage.empty()) continue;
      auto& left = space[{move.destination, move.storage}];
      left -= static_cast<std::int64_t>(vm.disk_space.bytes);
      if (left < 0) fault(move.destination + " has no space for " + vm.id);
    }
  }

  // No link gives more than it has, nobody is without a share while it copies, and what was sent
  // is enough.
  void check_shares() {
    struct Sending {
      double share = 0, disk_left = 0, memory_left = 0, since = 0, bytes = 0;
      bool began = false;
    };
    std::vector<Sending> sending(plan_.moves.size());
    std::map<std::string, double> out, in;
    for (std::size_t i = 0; i < sending.size(); ++i) {
      const FleetVm& vm = *vms_.at(plan_.moves[i].vm);
      const auto running = running_.find(vm.id);
      const bool runs = running != running_.end();
      sending[i].disk_left =
          static_cast<double>(runs ? running->second->disk_left.bytes : vm.disk_bytes.bytes);
      sending[i].memory_left =
          static_cast<double>(runs ? running->second->memory_left.bytes : vm.memory.bytes);
    }
    for (std::size_t i = 0; i < plan_.shares.size(); ++i) {
      const SharePart& part = plan_.shares[i];
      const PlannedMove& move = plan_.moves[part.move];
      Sending& now = sending[part.move];
      const double dirty = static_cast<double>(vms_.at(move.vm)->dirty_rate.value);
      if (now.began && now.share <= 0) fault(move.vm + " copies with no share");
      double passed = part.at.count() - now.since;
      now.bytes += passed * now.share;
      if (now.share > 0) {
        const double disks = std::min(passed, now.disk_left / now.share);
        now.disk_left -= disks * now.share;
        now.memory_left -= (passed - disks) * std::max(now.share - dirty, now.share / 10);
      }
      out[move.source] += part.share - now.share;
      in[move.destination] += part.share - now.share;
      now.share = part.share;
      now.since = part.at.count();
      now.began = part.share > 0;
      const bool last =
          i + 1 == plan_.shares.size() || plan_.shares[i + 1].at.count() > part.at.count() + 1e-9;
      if (last) check_links(out, in, part.at);
    }
    for (std::size_t i = 0; i < sending.size(); ++i) {
      const PlannedMove& move = plan_.moves[i];
      const Sending& sent = sending[i];
      const double little = 1e-6 * std::max(1e6, move.bytes);
      if (sent.share != 0) fault(move.vm + " never stops to send");
      if (sent.disk_left > little || sent.memory_left > little)
        fault(fmt::format("{} ends with {} bytes to be sent", move.vm, sent.memory_left));
      if (std::abs(sent.bytes - move.bytes) > little) fault(move.vm + ": its bytes do not agree");
    }
  }

  void check_links(const std::map<std::string, double>& out,
                   const std::map<std::string, double>& in, Seconds at) {
    for (const auto& [host, used] : out) {
      if (used > static_cast<double>(hosts_.at(host)->link_out.value) * (1 + 1e-6))
        fault(fmt::format("{} sends more than its link at {} s", host, at.count()));
    }
    for (const auto& [host, used] : in) {
      if (used > static_cast<double>(hosts_.at(host)->link_in.value) * (1 + 1e-6))
        fault(fmt::format("{} receives more than its link at {} s", host, at.count()));
    }
  }

  const Fleet& fleet_;
  const FleetPlan& plan_;
  const MoveTiming timing_;
  std::map<std::string, const FleetHost*> hosts_;
  std::map<std::string, const FleetVm*> vms_;
  std::map<std::string, const RunningMove*> running_;
  std::vector<std::string> faults_;
};

}  // namespace drover::fleet
