// SPDX-License-Identifier: Apache-2.0
#include "fleet/evacuation.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "fleet/assignment.h"
#include "fleet/best_host.h"

namespace drover::fleet {
namespace {

// One plan in the making. `fleet`: sorted by names.
class Planning {
 public:
  Planning(const Fleet& fleet, const MoveTiming& timing)
      : fleet_(fleet), timing_(timing), room_(fleet) {
    for (VmIndex i = 0; i < fleet.vms.size(); ++i) vms_.emplace(fleet.vms[i].id, i);
    for (const RunningMove& move : fleet.running) running_.emplace(move.vm, &move);
  }

  Status take(const std::vector<Group>& groups);
  FleetPlan plan();

 private:
  Status take_vm(const std::string& id, std::uint32_t group);
  bool goes_on(const RunningMove& move) const;
  std::vector<TimedMove> moves_under_way() const;
  void rank(std::vector<std::uint32_t>& wishes) const;
  double seconds_at_best(VmIndex vm, HostIndex destination) const;
  void tell_moves(const Timetable& timetable);
  void cannot(VmIndex vm, Obstacle obstacle);
  void cannot_go(std::uint32_t wish, Assignment& assignment, const Room& room);

  const Fleet& fleet_;
  const MoveTiming timing_;
  const Room room_;
  std::unordered_map<std::string_view, VmIndex> vms_;
  std::unordered_map<std::string_view, const RunningMove*> running_;
  std::unordered_set<VmIndex> taken_;
  std::vector<std::vector<HostIndex>> destinations_;  // by group
  std::vector<Wish> wishes_;
  std::vector<Place> places_;  // by wish
  FleetPlan plan_;
};

Status Planning::take(const std::vector<Group>& groups) {
  for (const Group& group : groups) {
    std::vector<HostIndex>& hosts = destinations_.emplace_back();
    for (const std::string& name : group.destinations) {
      hosts.push_back(room_.host(name));
      if (hosts.back() == kNone)
        return fail(ErrorCode::kInvalidArgument, "The fleet has no host {}.", name);
    }
    for (HostIndex i = 0; group.destinations.empty() && i < fleet_.hosts.size(); ++i)
      hosts.push_back(i);
    std::ranges::sort(hosts);
    hosts.erase(std::ranges::unique(hosts).begin(), hosts.end());
    for (const std::string& id : group.vms)
      RETURN_IF_ERROR(take_vm(id, static_cast<std::uint32_t>(destinations_.size() - 1)));
  }
  std::ranges::sort(wishes_, {}, &Wish::vm);
  return {};
}

Status Planning::take_vm(const std::string& id, std::uint32_t group) {
  const auto vm = vms_.find(id);
  if (vm == vms_.end()) return fail(ErrorCode::kInvalidArgument, "The fleet has no VM {}.", id);
  if (!taken_.insert(vm->second).second)
    return fail(ErrorCode::kInvalidArgument, "VM {} is to go to two places.", id);
  const HostIndex source = room_.host(fleet_.vms[vm->second].host);
  if (destinations_[group] == std::vector{source}) return {};
  if (const auto move = running_.find(id); move != running_.end()) {
    if (!goes_on(*move->second)) cannot(vm->second, Obstacle::kUndecided);
    return {};
  }
  if (const auto found = source_obstacles(fleet_.hosts[source]); !found.empty()) {
    cannot(vm->second, found.front());
    return {};
  }
  wishes_.push_back({vm->second, group});
  return {};
}

// Both its hosts are there.
bool Planning::goes_on(const RunningMove& move) const {
  const FleetHost& source = fleet_.hosts[room_.host(fleet_.vms[vms_.at(move.vm)].host)];
  const FleetHost& destination = fleet_.hosts[room_.host(move.destination)];
  return !source.unreachable && !destination.unreachable && source.link_out.value > 0 &&
         destination.link_in.value > 0;
}

FleetPlan Planning::plan() {
  Assignment assignment(fleet_, wishes_, destinations_);
  places_ = assignment.assign();
  std::vector<std::uint32_t> placed;
  for (std::uint32_t wish = 0; wish < wishes_.size(); ++wish) {
    if (places_[wish].host != kNone) {
      placed.push_back(wish);
    } else {
      cannot_go(wish, assignment, assignment.room_left());
    }
  }
  rank(placed);
  std::vector<TimedMove> moves = moves_under_way();
  const std::size_t under_way = moves.size();
  for (const std::uint32_t wish : placed) {
    TimedMove move;
    move.vm = wishes_[wish].vm;
    move.source = room_.host(fleet_.vms[move.vm].host);
    move.destination = places_[wish].host;
    move.storage = places_[wish].storage;
    moves.push_back(move);
  }
  Timetable timetable(fleet_, std::move(moves), timing_);
  timetable.run([&](MoveIndex move, const Room& room) {
    return assignment.elsewhere(placed[move - under_way], room);
  });
  for (std::size_t i = under_way; i < timetable.moves().size(); ++i) {
    if (!timetable.moves()[i].planned) cannot(timetable.moves()[i].vm, Obstacle::kCircle);
  }
  tell_moves(timetable);
  std::ranges::sort(plan_.not_moved, {}, &NotMoved::vm);
  return std::move(plan_);
}

std::vector<TimedMove> Planning::moves_under_way() const {
  std::vector<TimedMove> moves;
  for (const RunningMove& running : fleet_.running) {
    TimedMove move;
    move.vm = vms_.at(running.vm);
    move.source = room_.host(fleet_.vms[move.vm].host);
    move.destination = room_.host(running.destination);
    move.storage = room_.storage(move.destination, running.storage);
    move.running = true;
    move.gives_up = !goes_on(running);
    moves.push_back(move);
  }
  return moves;
}

double Planning::seconds_at_best(VmIndex vm, HostIndex destination) const {
  const FleetHost& source = fleet_.hosts[room_.host(fleet_.vms[vm].host)];
  const auto rate =
      static_cast<double>(std::min(source.link_out, fleet_.hosts[destination].link_in).value);
  return time_alone(fleet_.vms[vm], rate, timing_).count();
}

// By priority; then by the place within its source, longest first there; then longest first.
void Planning::rank(std::vector<std::uint32_t>& wishes) const {
  struct Ranked {
    int priority;
    std::uint32_t turn;
    double seconds;
    std::uint32_t wish;
  };
  std::vector<Ranked> ranked;
  for (const std::uint32_t wish : wishes) {
    const VmIndex vm = wishes_[wish].vm;
    ranked.push_back({fleet_.vms[vm].priority, 0, seconds_at_best(vm, places_[wish].host), wish});
  }
  const auto before = [](const Ranked& a, const Ranked& b) {
    return std::tuple(-std::int64_t{a.priority}, a.turn, -a.seconds, a.wish) <
           std::tuple(-std::int64_t{b.priority}, b.turn, -b.seconds, b.wish);
  };
  std::ranges::sort(ranked, before);
  // Turns are counted within a priority: a source whose important VMs went first is not behind for
  // that with its others.
  std::unordered_map<HostIndex, std::pair<int, std::uint32_t>> turns;
  for (Ranked& one : ranked) {
    const HostIndex source = room_.host(fleet_.vms[wishes_[one.wish].vm].host);
    auto& [priority, next] = turns.try_emplace(source, one.priority, 0).first->second;
    if (priority != one.priority) {
      priority = one.priority;
      next = 0;
    }
    one.turn = next++;
  }
  std::ranges::sort(ranked, before);
  for (std::size_t i = 0; i < ranked.size(); ++i) wishes[i] = ranked[i].wish;
}

void Planning::tell_moves(const Timetable& timetable) {
  const auto& timed = timetable.moves();
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < timed.size(); ++i) {
    if (timed[i].planned && !timed[i].gives_up) order.push_back(i);
  }
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return timed[i].start; });
  std::vector<std::size_t> number(timed.size());
  for (const std::size_t i : order) {
    const TimedMove& move = timed[i];
    const FleetHost& destination = fleet_.hosts[move.destination];
    PlannedMove told;
    told.vm = fleet_.vms[move.vm].id;
    told.source = fleet_.vms[move.vm].host;
    told.destination = destination.name;
    if (move.storage != kNone) told.storage = destination.storages[move.storage].name;
    told.running = move.running;
    told.start = move.start;
    told.end = move.end;
    told.bytes = move.bytes;
    if (const double copy = (move.copy_end - move.copy_start).count(); copy > 0)
      told.share = {static_cast<std::uint64_t>(move.bytes / copy)};
    told.outruns_link = move.outruns_link;
    number[i] = plan_.moves.size();
    plan_.moves.push_back(std::move(told));
  }
  for (const ShareStep& step : timetable.shares())
    plan_.shares.push_back({step.at, number[step.move], step.share});
  plan_.end = timetable.end();
}

void Planning::cannot(VmIndex index, Obstacle obstacle) {
  const FleetVm& vm = fleet_.vms[index];
  plan_.not_moved.push_back(
      {vm.id, {{why_not(obstacle, vm, fleet_.hosts[room_.host(vm.host)]), 0}}});
}

void Planning::cannot_go(std::uint32_t wish, Assignment& assignment, const Room& room) {
  const FleetVm& vm = fleet_.vms[wishes_[wish].vm];
  NotMoved told{vm.id, {}};
  for (const ObstacleCount& count : assignment.obstacles(wish, room))
    told.hindrances.push_back(
        {why_not(count.obstacle, vm, room.as_left(count.example)), count.hosts});
  plan_.not_moved.push_back(std::move(told));
}

Fleet sorted(const Fleet& fleet) {
  Fleet copy = fleet;
  std::ranges::sort(copy.hosts, {}, &FleetHost::name);
  std::ranges::sort(copy.vms, {}, &FleetVm::id);
  std::ranges::sort(copy.running, {}, &RunningMove::vm);
  return copy;
}

}  // namespace

Result<FleetPlan> plan_moves(const Fleet& fleet, const std::vector<Group>& groups,
                             const MoveTiming& timing) {
  RETURN_IF_ERROR(check_fleet(fleet));
  const Fleet picture = sorted(fleet);
  Planning planning(picture, timing);
  RETURN_IF_ERROR(planning.take(groups));
  return planning.plan();
}

Result<FleetPlan> evacuate(Fleet fleet, const std::vector<std::string>& hosts,
                           const std::vector<std::string>& to, const MoveTiming& timing) {
  for (const std::string& name : hosts) {
    const auto host = std::ranges::find(fleet.hosts, name, &FleetHost::name);
    if (host == fleet.hosts.end())
      return fail(ErrorCode::kInvalidArgument, "The fleet has no host {}.", name);
    if (holds(to, name)) {
      return fail(ErrorCode::kInvalidArgument,
                  "{} is to be evacuated, so it cannot be one of the destinations.", name);
    }
    host->evacuated = true;
  }
  const std::unordered_set<std::string_view> leaving(hosts.begin(), hosts.end());
  Group group{{}, to};
  for (const FleetVm& vm : fleet.vms) {
    if (leaving.contains(vm.host)) group.vms.push_back(vm.id);
  }
  return plan_moves(fleet, {group}, timing);
}

Result<FleetPlan> return_home(Fleet fleet, const std::string& host,
                              const std::vector<std::string>& vms, const MoveTiming& timing) {
  const auto home = std::ranges::find(fleet.hosts, host, &FleetHost::name);
  if (home == fleet.hosts.end())
    return fail(ErrorCode::kInvalidArgument, "The fleet has no host {}.", host);
  home->evacuated = false;
  return plan_moves(fleet, {{vms, {host}}}, timing);
}

}  // namespace drover::fleet
