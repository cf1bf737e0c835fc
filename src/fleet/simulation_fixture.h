// SPDX-License-Identifier: Apache-2.0
// An evacuation played through in a world that does not keep to forecasts: moves have other bytes
// than was planned with, links are shared by max-min fairness, hosts drop out. The planner is asked
// anew whenever something ends, as a daemon would ask it.
#pragma once

#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "fleet/evacuation.h"

namespace drover::fleet {

struct SimulationEnd {
  Seconds makespan{};
  unsigned moved = 0;
  unsigned plans = 0;
  unsigned at_once_most = 0;
  std::vector<std::string> left;  // VMs that are still on the hosts
};

class Simulation {
 public:
  // Each move sends its forecast times a factor between 1 - and 1 + `surprise`.
  Simulation(Fleet fleet, std::vector<std::string> evacuated, double surprise, unsigned seed)
      : fleet_(std::move(fleet)), evacuated_(std::move(evacuated)) {
    std::mt19937 random(seed);
    for (const FleetVm& vm : fleet_.vms) {
      factor_[vm.id] = 1 + surprise * (static_cast<double>(random() % 2001) / 1000 - 1);
    }
  }

  // The host answers no more from then on; moves to it are given up at once, and try elsewhere.
  void drop(Seconds at, std::string host) { drops_[at.count()] = std::move(host); }

  // By which the bytes of this VM's move differ from the forecast.
  double factor(const std::string& vm) const { return factor_.at(vm); }

  Result<SimulationEnd> run() {
    while (true) {
      ASSIGN_OR_RETURN(const FleetPlan plan, evacuate(fleet_, evacuated_, {}));
      ++end_.plans;
      for (const PlannedMove& move : plan.moves) {
        if (!move.running && move.start.count() < 1e-9) start(move);
      }
      end_.at_once_most = std::max(end_.at_once_most, static_cast<unsigned>(active_.size()));
      if (active_.empty()) break;
      if (!pass_to_next_end()) break;
    }
    end_.makespan = Seconds(now_);
    for (const FleetVm& vm : fleet_.vms) {
      if (std::ranges::count(evacuated_, vm.host) > 0) end_.left.push_back(vm.id);
    }
    return end_;
  }

 private:
  struct Active {
    std::string vm, source, destination, storage;
    double prepare, finish, disk, memory, dirty, rate, factor;
  };

  FleetHost& host(const std::string& name) {
    return *std::ranges::find(fleet_.hosts, name, &FleetHost::name);
  }
  FleetVm& vm(const std::string& id) { return *std::ranges::find(fleet_.vms, id, &FleetVm::id); }

  void start(const PlannedMove& move) {
    const FleetVm& moved = vm(move.vm);
    const double factor = factor_[move.vm];
    const MoveTiming timing;
    active_.push_back({move.vm, move.source, move.destination, move.storage, timing.prepare.count(),
                       timing.finish.count(), static_cast<double>(moved.disk_bytes.bytes) * factor,
                       static_cast<double>(moved.memory.bytes) * factor,
                       static_cast<double>(moved.dirty_rate.value), 0, factor});
  }

  static bool copies(const Active& move) {
    return move.prepare <= 0 && (move.disk > 0 || move.memory > 0);
  }

  // Progressive filling: all rise together until a link is full; those on it stay.
  void share_links() {
    std::map<std::string, double> out, in;
    for (const FleetHost& one : fleet_.hosts) {
      out[one.name] = static_cast<double>(one.link_out.value);
      in[one.name] = static_cast<double>(one.link_in.value);
    }
    std::vector<Active*> rising;
    for (Active& move : active_) {
      move.rate = 0;
      if (copies(move)) rising.push_back(&move);
    }
    while (!rising.empty()) {
      std::map<std::string, int> outs, ins;
      for (const Active* move : rising) ++outs[move->source], ++ins[move->destination];
      double step = std::numeric_limits<double>::max();
      for (const auto& [name, count] : outs) step = std::min(step, out[name] / count);
      for (const auto& [name, count] : ins) step = std::min(step, in[name] / count);
      for (Active* move : rising) {
        move->rate += step;
        out[move->source] -= step;
        in[move->destination] -= step;
      }
      std::erase_if(rising, [&](const Active* move) {
        return out[move->source] < 1 || in[move->destination] < 1;
      });
    }
  }

  // Seconds to the end of this move's part: prepare, disks, memory or finish.
  static double to_next(const Active& move) {
    if (move.prepare > 0) return move.prepare;
    if (move.disk > 0) return move.disk / move.rate;
    if (move.memory > 0) return move.memory / std::max(move.rate - move.dirty, move.rate / 10);
    return move.finish;
  }

  static void pass(Active& move, double seconds, bool whole) {
    if (move.prepare > 0) {
      move.prepare = whole ? 0 : move.prepare - seconds;
    } else if (move.disk > 0) {
      move.disk = whole ? 0 : move.disk - seconds * move.rate;
    } else if (move.memory > 0) {
      const double gain = std::max(move.rate - move.dirty, move.rate / 10);
      move.memory = whole ? 0 : move.memory - seconds * gain;
    } else {
      move.finish = whole ? 0 : move.finish - seconds;
    }
  }

  // Until a move ends or a host drops out; false: neither will.
  bool pass_to_next_end() {
    while (true) {
      if (active_.empty()) return false;
      share_links();
      double step = std::numeric_limits<double>::max();
      for (const Active& move : active_) step = std::min(step, to_next(move));
      const bool drops = !drops_.empty() && drops_.begin()->first <= now_ + step;
      if (drops) step = std::max(0.0, drops_.begin()->first - now_);
      now_ += step;
      for (Active& move : active_) pass(move, step, to_next(move) <= step + 1e-9);
      if (drops) {
        drop_out(drops_.begin()->second);
        drops_.erase(drops_.begin());
        return tell_running();
      }
      if (end_moves()) return tell_running();
    }
  }

  bool end_moves() {
    bool any = false;
    std::erase_if(active_, [&](const Active& move) {
      if (move.prepare > 0 || move.disk > 0 || move.memory > 0 || move.finish > 0) return false;
      FleetVm& moved = vm(move.vm);
      FleetHost& source = host(move.source);
      FleetHost& destination = host(move.destination);
      source.memory_free += moved.memory;
      source.vcpus -= moved.vcpus;
      destination.memory_free = destination.memory_free - moved.memory;
      destination.vcpus += moved.vcpus;
      for (Storage& storage : destination.storages) {
        if (storage.name == move.storage) storage.free = storage.free - moved.disk_space;
      }
      moved.host = move.destination;
      ++end_.moved;
      any = true;
      return true;
    });
    return any;
  }

  void drop_out(const std::string& name) {
    host(name).unreachable = true;
    std::erase_if(active_, [&](const Active& move) { return move.destination == name; });
  }

  bool tell_running() {
    fleet_.running.clear();
    for (const Active& move : active_) {
      fleet_.running.push_back({move.vm,
                                move.destination,
                                move.storage,
                                {static_cast<std::uint64_t>(move.disk / move.factor)},
                                {static_cast<std::uint64_t>(move.memory / move.factor)}});
    }
    return true;
  }

  Fleet fleet_;
  const std::vector<std::string> evacuated_;
  std::map<std::string, double> factor_;
  std::map<double, std::string> drops_;
  std::vector<Active> active_;
  double now_ = 0;
  SimulationEnd end_;
};

}  // namespace drover::fleet
