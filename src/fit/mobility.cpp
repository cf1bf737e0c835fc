// SPDX-License-Identifier: Apache-2.0
#include "fit/mobility.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "base/fan_out.h"

namespace drover::fit {
namespace {

struct Question {
  std::size_t vm = 0;
  std::string host;
  MoveKind kind = MoveKind::kLive;
};

std::vector<MoveKind> kinds_of(const Vm& vm) {
  if (vm.state == VmState::kRunning || vm.state == VmState::kPaused)
    return {MoveKind::kLive, MoveKind::kQuick};
  return {MoveKind::kOffline};
}

MobilityPlace place_of(const Question& question, const Result<Plan>& plan) {
  MobilityPlace place;
  place.host = question.host;
  place.kind = question.kind;
  if (!plan) {
    place.text = plan.error().message;
    return place;
  }
  for (const Finding& finding : plan->findings) {
    if (finding.level == FindingLevel::kBlocker) place.blockers.push_back(finding);
    const bool known = std::ranges::find(place.warnings, finding.code) != place.warnings.end();
    if (finding.level == FindingLevel::kWarning && !known) place.warnings.push_back(finding.code);
  }
  place.possible = place.blockers.empty();
  return place;
}

// The same obstacle on several hosts is one change if it is of the VM, and several if it is of the
// host: its object tells.
std::string change_key(const Finding& finding) { return finding.code + " " + finding.object; }

bool is_silent(const Result<Plan>& plan) {
  return !plan &&
         (plan.error().code == ErrorCode::kUnavailable || plan.error().code == ErrorCode::kTimeout);
}

}  // namespace

std::optional<MobilityChange> best_change(const std::vector<MobilityPlace>& places) {
  std::set<std::string> now;
  for (const auto& place : places) {
    if (place.possible) now.insert(place.host);
  }
  std::map<std::string, MobilityChange> changes;
  std::vector<std::string> order;
  for (const auto& place : places) {
    if (!place.text.empty() || now.contains(place.host) || place.blockers.empty()) continue;
    // One change may take away several findings that say the same.
    const std::string key = change_key(place.blockers.front());
    const bool one = std::ranges::all_of(
        place.blockers, [&](const Finding& finding) { return change_key(finding) == key; });
    if (!one) continue;
    const auto [change, fresh] =
        changes.try_emplace(key, MobilityChange{place.blockers.front(), {}});
    if (fresh) order.push_back(key);
    auto& hosts = change->second.hosts;
    if (std::ranges::find(hosts, place.host) == hosts.end()) hosts.push_back(place.host);
  }
  const MobilityChange* best = nullptr;
  for (const auto& key : order) {
    const MobilityChange& change = changes.at(key);
    const bool better = best == nullptr || change.hosts.size() > best->hosts.size() ||
                        (change.hosts.size() == best->hosts.size() && change.finding.appliable &&
                         !best->finding.appliable);
    if (better) best = &change;
  }
  return best == nullptr ? std::nullopt : std::optional(*best);
}

Mobility look_for_places(const MobilityView& view, const std::vector<Vm>& vms) {
  Mobility found;
  std::vector<Question> questions;
  for (const Vm& vm : vms) {
    VmMobility one;
    one.vm_uuid = vm.uuid;
    one.vm_name = vm.name;
    one.host = view.host;
    one.state = vm.state;
    one.move_id = view.moving(vm.uuid);
    const bool asks = vm.state != VmState::kIncoming && one.move_id.empty();
    const Status settled = asks && view.in_doubt ? view.in_doubt(vm) : Status();
    for (const auto& host : view.hosts) {
      for (const MoveKind kind : kinds_of(vm)) {
        const Question question{found.vms.size(), host, kind};
        if (!settled)
          one.places.push_back(place_of(question, std::unexpected(settled.error())));
        else if (asks)
          questions.push_back(question);
      }
    }
    found.vms.push_back(std::move(one));
  }
  std::vector<MobilityPlace> places(questions.size());
  std::mutex mutex;  // guards silent
  std::map<std::string, Error> silent;
  fan_out(questions.size(), [&](std::size_t i) {
    MoveRequest request;
    request.vm = vms[questions[i].vm].uuid;
    request.destination = questions[i].host;
    request.kind = questions[i].kind;
    request.measure = false;  // nobody asks how long it would take
    if (view.over && view.over()) {
      places[i] = place_of(questions[i], fail(ErrorCode::kTimeout, "There was no time to ask."));
      return;
    }
    {
      const std::lock_guard lock(mutex);
      const auto known = silent.find(request.destination);
      if (known != silent.end()) {
        places[i] = place_of(questions[i], std::unexpected(known->second));
        return;
      }
    }
    const auto plan = view.plan(request);
    places[i] = place_of(questions[i], plan);
    const std::lock_guard lock(mutex);
    if (is_silent(plan)) silent.emplace(request.destination, plan.error());
  });
  for (std::size_t i = 0; i < questions.size(); ++i)
    found.vms[questions[i].vm].places.push_back(std::move(places[i]));
  for (auto& one : found.vms) {
    for (const auto& place : one.places) {
      const bool known = std::ranges::find(one.hosts_now, place.host) != one.hosts_now.end();
      if (place.possible && !known) one.hosts_now.push_back(place.host);
    }
    one.change = best_change(one.places);
  }
  for (const auto& [host, error] : silent) found.unreachable.push_back({host, error});
  return found;
}

}  // namespace drover::fit
