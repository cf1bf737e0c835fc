// SPDX-License-Identifier: Apache-2.0
// The best possible host: the planner puts hosts in order, and the first one is it whose plan has
// no blocker.
#include <algorithm>

#include "base/fan_out.h"
#include "fleet/best_host.h"
#include "place/placer.h"

namespace drover::place {
namespace {

Finding finding_of(const fleet::WhyNot& why, const std::string& host) {
  Finding finding{std::string(fleet::obstacle_name(why.obstacle)),
                  FindingLevel::kBlocker,
                  host,
                  why.what,
                  "",
                  {}};
  if (!why.fix.empty()) finding.fixes.push_back(why.fix);
  return finding;
}

HostChoice choice_of(const fleet::HostVerdict& verdict, const fleet::BestHost& best,
                     const Picture& picture) {
  HostChoice choice;
  choice.host = verdict.host;
  choice.possible = verdict.possible;
  choice.load_percent = static_cast<unsigned>(std::clamp(verdict.load, 0.0, 1000.0) * 100);
  choice.forecast = std::chrono::duration_cast<std::chrono::milliseconds>(verdict.forecast);
  choice.why = verdict.why;
  for (const fleet::WhyNot& why : best.stays)
    choice.obstacles.push_back(finding_of(why, picture.here));
  for (const fleet::WhyNot& why : verdict.obstacles)
    choice.obstacles.push_back(finding_of(why, verdict.host));
  // Not only that it does not answer, but why.
  if (const auto trouble = picture.troubles.find(verdict.host); trouble != picture.troubles.end())
    if (!choice.obstacles.empty()) choice.obstacles.back().why = trouble->second;
  return choice;
}

// VMs that were placed just before take their room there.
void place(const std::vector<PlacedVm>& placed, fleet::Fleet& fleet) {
  for (const PlacedVm& one : placed) {
    const auto vm = std::ranges::find(fleet.vms, one.vm, &fleet::FleetVm::id);
    const auto host = std::ranges::find(fleet.hosts, one.destination, &fleet::FleetHost::name);
    const bool known =
        std::ranges::find(fleet.running, one.vm, &fleet::RunningMove::vm) != fleet.running.end();
    if (vm == fleet.vms.end() || host == fleet.hosts.end() || known || vm->host == one.destination)
      continue;
    const std::string storage = host->storages.empty() ? "" : host->storages.front().name;
    fleet.running.push_back({one.vm, one.destination, storage, vm->disk_bytes, vm->memory});
  }
}

// What the plan to that host says, into its choice.
void judge(const Result<Plan>& plan, HostChoice& choice) {
  if (!plan) {
    choice.obstacles.push_back({std::string(error_code_name(plan.error().code)),
                                FindingLevel::kBlocker,
                                choice.host,
                                plan.error().text(),
                                "",
                                {}});
  } else {
    std::ranges::copy_if(plan->findings, std::back_inserter(choice.obstacles),
                         [](const auto& one) { return one.level == FindingLevel::kBlocker; });
  }
  choice.possible = choice.obstacles.empty();
  if (!choice.possible) choice.why.clear();
}

}  // namespace

Result<BestChoice> Placer::best(const BestRequest& asked) {
  Picture picture = look_();
  if (const auto trouble = picture.troubles.find(picture.here); trouble != picture.troubles.end())
    return fail(ErrorCode::kUnavailable, "{}", trouble->second);
  const auto vm = std::ranges::find_if(picture.vms, [&](const auto& item) {
    const Vm& one = item.second;
    return one.host == picture.here &&
           (one.uuid == asked.request.vm || one.name == asked.request.vm);
  });
  if (vm == picture.vms.end())
    return fail(ErrorCode::kNotFound, "No VM is called {} on {}.", asked.request.vm, picture.here);
  place(asked.after, picture.fleet);
  ASSIGN_OR_RETURN(const fleet::BestHost best,
                   fleet::best_host(picture.fleet, vm->first, asked.among));
  BestChoice choice;
  for (const fleet::HostVerdict& verdict : best.hosts) {
    // That it is there already is no news, unless it was named.
    if (verdict.host == picture.here && asked.among.empty()) continue;
    choice.hosts.push_back(choice_of(verdict, best, picture));
  }
  // So many at a time, until one can be done.
  for (std::size_t first = 0; first < choice.hosts.size() && !choice.plan; first += kFanOut) {
    const std::size_t count = std::min(kFanOut, choice.hosts.size() - first);
    std::vector<Result<Plan>> plans(count, fail(ErrorCode::kInternal, "It was not asked."));
    fan_out(count, [&](std::size_t i) {
      const HostChoice& host = choice.hosts[first + i];
      if (!host.possible) return;
      MoveRequest request = asked.request;
      request.vm = vm->first;
      request.destination = host.host;
      plans[i] = plans_.plan(request);
    });
    for (std::size_t i = 0; i < count; ++i) {
      HostChoice& host = choice.hosts[first + i];
      if (!host.possible) continue;
      judge(plans[i], host);
      if (host.possible && !choice.plan) choice.plan = std::move(*plans[i]);
    }
  }
  std::ranges::stable_partition(choice.hosts, &HostChoice::possible);
  return choice;
}

}  // namespace drover::place
