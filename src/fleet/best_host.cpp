// SPDX-License-Identifier: Apache-2.0
#include "fleet/best_host.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include <fmt/format.h>

#include "fleet/room.h"

namespace drover::fleet {
namespace {

constexpr double kLoadStep = 0.05;  // differences below are less than the forecast's worth

auto preference(const HostVerdict& verdict) {
  return std::tuple(!verdict.possible, std::floor(verdict.load / kLoadStep),
                    std::floor(verdict.forecast.count()), verdict.load, verdict.host);
}

HostVerdict judge(const Room& room, const FleetVm& vm, const FleetHost& source,
                  const FleetHost& host, HostIndex index, const MoveTiming& timing) {
  HostVerdict verdict;
  verdict.host = host.name;
  for (const Obstacle obstacle : room.obstacles(vm, index))
    verdict.obstacles.push_back(why_not(obstacle, vm, room.as_left(index)));
  verdict.load = room.load_with(vm, index);
  verdict.possible = verdict.obstacles.empty();
  if (!verdict.possible || source.link_out.value == 0) return verdict;
  const auto rate = static_cast<double>(std::min(source.link_out, host.link_in).value);
  verdict.forecast = time_alone(vm, rate, timing);
  verdict.outruns_link = outruns(rate, vm.dirty_rate);
  return verdict;
}

std::string reason(const HostVerdict& verdict, const HostVerdict& best) {
  const std::string facts =
      fmt::format("loaded by {:.0f} % with the VM; the move takes about {:.0f} s",
                  verdict.load * 100, verdict.forecast.count());
  if (&verdict == &best) return facts;
  const bool as_free = std::floor(verdict.load / kLoadStep) == std::floor(best.load / kLoadStep);
  const bool as_fast = std::floor(verdict.forecast.count()) == std::floor(best.forecast.count());
  const char* behind = !as_free  ? "more loaded than"
                       : as_fast ? "as good as"
                                 : "a longer move than to";
  return fmt::format("{} ({} {})", facts, behind, best.host);
}

}  // namespace

std::vector<Obstacle> source_obstacles(const FleetHost& source) {
  std::vector<Obstacle> found;
  if (source.unreachable) found.push_back(Obstacle::kSourceUnreachable);
  if (!source.outgoing || source.live_moves == 0 || source.link_out.value == 0)
    found.push_back(Obstacle::kSourceOutgoingOff);
  return found;
}

Result<BestHost> best_host(const Fleet& fleet, std::string_view vm_id,
                           const std::vector<std::string>& among, const MoveTiming& timing) {
  RETURN_IF_ERROR(check_fleet(fleet));
  const auto vm = std::ranges::find(fleet.vms, vm_id, &FleetVm::id);
  if (vm == fleet.vms.end()) return fail(ErrorCode::kNotFound, "The fleet has no VM {}.", vm_id);
  const Room room(fleet);
  for (const std::string& name : among) {
    if (room.host(name) == kNone)
      return fail(ErrorCode::kNotFound, "The fleet has no host {}.", name);
  }
  const FleetHost& source = fleet.hosts[room.host(vm->host)];
  BestHost answer;
  for (const Obstacle obstacle : source_obstacles(source))
    answer.stays.push_back(why_not(obstacle, *vm, source));
  if (std::ranges::find(fleet.running, vm_id, &RunningMove::vm) != fleet.running.end())
    answer.stays.push_back(why_not(Obstacle::kMoving, *vm, source));
  for (HostIndex i = 0; i < fleet.hosts.size(); ++i) {
    if (!among.empty() && !holds(among, fleet.hosts[i].name)) continue;
    answer.hosts.push_back(judge(room, *vm, source, fleet.hosts[i], i, timing));
    if (!answer.stays.empty()) answer.hosts.back().possible = false;
  }
  std::ranges::sort(answer.hosts, {}, preference);
  for (HostVerdict& verdict : answer.hosts) {
    if (verdict.possible) verdict.why = reason(verdict, answer.hosts.front());
  }
  return answer;
}

}  // namespace drover::fleet
