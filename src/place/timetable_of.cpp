// SPDX-License-Identifier: Apache-2.0
#include "place/timetable_of.h"

#include <algorithm>
#include <tuple>

#include "base/fan_out.h"

namespace drover::place {
namespace {

using namespace std::chrono_literals;

constexpr auto kPossibleFor = 10min;  // a move's start looks again
constexpr auto kRefusedFor = 60s;
constexpr int kRoundsMost = 64;

std::chrono::milliseconds milliseconds(fleet::Seconds span) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(span);
}

// The fleet with what the job itself knows: moves that were begun after the picture was taken, and
// the host that is emptied.
fleet::Fleet fleet_of(const Evacuation& job, const Picture& picture) {
  fleet::Fleet fleet = picture.fleet;
  const auto home = std::ranges::find(fleet.hosts, job.host, &fleet::FleetHost::name);
  if (home != fleet.hosts.end()) home->evacuated = job.request.kind == EvacuationKind::kEvacuate;
  for (const Evacuee& vm : job.vms) {
    const bool known =
        std::ranges::find(fleet.running, vm.uuid, &fleet::RunningMove::vm) != fleet.running.end();
    if (vm.state != EvacueeState::kMoving || known) continue;
    const auto there = std::ranges::find(fleet.vms, vm.uuid, &fleet::FleetVm::id);
    const auto host = std::ranges::find(fleet.hosts, vm.destination, &fleet::FleetHost::name);
    if (there == fleet.vms.end() || host == fleet.hosts.end() || there->host == vm.destination)
      continue;
    const std::string storage = host->storages.empty() ? "" : host->storages.front().name;
    fleet.running.push_back({vm.uuid, vm.destination, storage, there->disk_bytes, there->memory});
  }
  return fleet;
}

std::vector<std::string> allowed_hosts(const Evacuation& job, const Picture& picture) {
  if (job.request.kind == EvacuationKind::kReturn) return {job.host};
  std::vector<std::string> hosts;
  for (const fleet::FleetHost& host : picture.fleet.hosts) {
    const bool named = job.request.to.empty() || fleet::holds(job.request.to, host.name);
    if (host.name != job.host && named) hosts.push_back(host.name);
  }
  return hosts;
}

// One planning round's view of one VM that waits.
struct Wish {
  std::size_t index;               // into job.vms
  std::vector<std::string> hosts;  // still possible
};

std::vector<Wish> wishes_of(const Evacuation& job, const Picture& picture,
                            const Deciding& deciding) {
  const std::vector<std::string> allowed = allowed_hosts(job, picture);
  std::vector<Wish> wishes;
  for (std::size_t i = 0; i < job.vms.size(); ++i) {
    const Evacuee& vm = job.vms[i];
    if (vm.state != EvacueeState::kWaits || !picture.vms.contains(vm.uuid)) continue;
    Wish& wish = wishes.emplace_back(Wish{i, {}});
    for (const std::string& host : allowed) {
      const Verdict* verdict = deciding.verdicts.find(vm.uuid, host, deciding.now);
      if (verdict == nullptr || verdict->possible) wish.hosts.push_back(host);
    }
  }
  return wishes;
}

void add_fix(Evacuee& vm, const std::string& fix) {
  if (!fix.empty() && !fleet::holds(vm.fixes, fix)) vm.fixes.push_back(fix);
}

void add_why(Evacuee& vm, const std::string& sentence) {
  vm.why += (vm.why.empty() ? "" : " ") + sentence;
}

// Why no host takes it: what the planner knows, then what the hosts themselves said.
void tell_why_not(Evacuee& vm, const fleet::NotMoved* not_moved,
                  const std::vector<std::string>& hosts, const Deciding& deciding) {
  vm.destination.clear();
  vm.starts_in = vm.ends_in = std::nullopt;
  vm.why.clear();
  vm.fixes.clear();
  for (const auto& [why, count] :
       not_moved ? not_moved->hindrances : std::vector<fleet::Hindrance>{}) {
    if (why.obstacle == fleet::Obstacle::kIsHere) continue;
    add_why(vm, why.what);
    if (count > 1) add_why(vm, fmt::format("So it is with {} hosts.", count));
    add_fix(vm, why.fix);
  }
  std::vector<std::string> said;
  for (const std::string& host : hosts) {
    const Verdict* verdict = deciding.verdicts.find(vm.uuid, host, deciding.now);
    if (verdict == nullptr || verdict->possible || fleet::holds(said, verdict->why)) continue;
    said.push_back(verdict->why);
    add_why(vm, fmt::format("{}: {}", host, verdict->why));
    for (const std::string& fix : verdict->fixes) add_fix(vm, fix);
  }
  if (vm.why.empty()) vm.why = "There is no host that it could go to.";
}

// Asks the hosts about the planned moves that nobody was asked about; true: one is refused.
bool check_planned(const Evacuation& job, const std::vector<fleet::PlannedMove>& moves,
                   const Deciding& deciding) {
  struct Question {
    const Evacuee* vm;
    std::string host;
    std::optional<Status> answer;  // nothing: there was no time to ask
  };
  std::vector<Question> questions;
  for (const fleet::PlannedMove& move : moves) {
    if (move.running || deciding.verdicts.find(move.vm, move.destination, deciding.now)) continue;
    const auto vm = std::ranges::find(job.vms, move.vm, &Evacuee::uuid);
    if (vm != job.vms.end()) questions.push_back({&*vm, move.destination, std::nullopt});
  }
  fan_out(questions.size(), [&](std::size_t i) {
    if (std::chrono::steady_clock::now() >= deciding.ask_until) return;
    Question& question = questions[i];
    MoveRequest request = request_for(job, *question.vm);
    request.destination = question.host;
    question.answer = deciding.ground.check(question.vm->source, request);
  });
  bool refused = false;
  for (Question& question : questions) {
    if (!question.answer) continue;
    const Status& answer = *question.answer;
    Verdict verdict = answer ? Verdict{true, "", {}, deciding.now + kPossibleFor}
                             : refusal(answer.error(), deciding.now + kRefusedFor);
    refused = refused || !verdict.possible;
    deciding.verdicts.put(question.vm->uuid, question.host, std::move(verdict));
  }
  return refused;
}

struct Planned {
  fleet::FleetPlan plan;
  std::vector<Wish> wishes;
};

Result<Planned> plan_and_check(const Evacuation& job, const Picture& picture,
                               const Deciding& deciding) {
  const fleet::Fleet fleet = fleet_of(job, picture);
  for (int round = 0;; ++round) {
    Planned planned{{}, wishes_of(job, picture, deciding)};
    std::vector<fleet::Group> groups;
    for (const Wish& wish : planned.wishes) {
      if (!wish.hosts.empty()) groups.push_back({{job.vms[wish.index].uuid}, wish.hosts});
    }
    ASSIGN_OR_RETURN(planned.plan, fleet::plan_moves(fleet, groups));
    if (round >= kRoundsMost || !check_planned(job, planned.plan.moves, deciding)) return planned;
  }
}

// In the order in which they begin; then what moves or has moved; then what waits for nothing; each
// by name.
void put_in_order(Evacuation& job) {
  const auto rank = [](const Evacuee& vm) {
    const bool timed = vm.state == EvacueeState::kWaits && vm.starts_in;
    const int group = vm.state == EvacueeState::kMoved    ? 0
                      : vm.state == EvacueeState::kMoving ? 1
                      : timed                             ? 2
                                                          : 3;
    return std::tuple(group, vm.starts_in.value_or(0ms), vm.name, vm.uuid);
  };
  std::ranges::stable_sort(job.vms, {}, rank);
}

}  // namespace

const Verdict* Verdicts::find(const std::string& vm, const std::string& host, Time now) const {
  const auto it = known_.find({vm, host});
  return it == known_.end() || it->second.until <= now ? nullptr : &it->second;
}

void Verdicts::put(const std::string& vm, const std::string& host, Verdict verdict) {
  known_[{vm, host}] = std::move(verdict);
}

void Verdicts::forget_old(Time now) {
  std::erase_if(known_, [&](const auto& item) { return item.second.until <= now; });
}

// Causes of a blocked plan are its findings, "CODE: what. Fix: …", each one a reason by itself.
Verdict refusal(const Error& error, Verdicts::Time until) {
  Verdict verdict{false, "", {}, until};
  if (error.code != ErrorCode::kBlocked || error.causes.empty()) {
    verdict.why = error.text();
    return verdict;
  }
  for (const std::string& cause : error.causes) {
    constexpr std::string_view kFix = " Fix: ";
    std::size_t at = cause.find(kFix);
    verdict.why += (verdict.why.empty() ? "" : " ") + cause.substr(0, at);
    while (at != std::string::npos) {
      const std::size_t begin = at + kFix.size();
      at = cause.find(kFix, begin);
      verdict.fixes.push_back(
          cause.substr(begin, at == std::string::npos ? std::string::npos : at - begin));
    }
  }
  return verdict;
}

MoveRequest request_for(const Evacuation& job, const Evacuee& vm) {
  MoveRequest request;
  request.vm = vm.uuid;
  request.source = vm.source;
  request.destination = vm.destination;
  request.retries = 0;      // it is planned anew, where there may be a better host
  request.measure = false;  // nobody reads its plan, and others wait for it
  request.accept_notes = true;
  request.accepted_codes = job.request.accepted_codes;
  request.requested_by = job.request.requested_by;
  return request;
}

Result<std::vector<std::size_t>> decide(Evacuation& job, const Picture& picture,
                                        const Deciding& deciding) {
  ASSIGN_OR_RETURN(const Planned planned, plan_and_check(job, picture, deciding));
  for (const Wish& wish : planned.wishes) {
    Evacuee& vm = job.vms[wish.index];
    const auto stays = std::ranges::find(planned.plan.not_moved, vm.uuid, &fleet::NotMoved::vm);
    const bool hindered = stays != planned.plan.not_moved.end();
    if (hindered || wish.hosts.empty())
      tell_why_not(vm, hindered ? &*stays : nullptr, allowed_hosts(job, picture), deciding);
  }
  std::vector<std::string> now;
  for (const fleet::PlannedMove& move : planned.plan.moves) {
    const auto vm = std::ranges::find(job.vms, move.vm, &Evacuee::uuid);
    if (vm == job.vms.end()) continue;
    vm->starts_in = milliseconds(move.start);
    vm->ends_in = milliseconds(move.end);
    vm->bytes = {static_cast<std::uint64_t>(move.bytes)};
    if (vm->state != EvacueeState::kWaits) continue;
    vm->destination = move.destination;
    if (move.running) continue;
    if (vm->attempts == 0) vm->why.clear();
    vm->fixes.clear();
    if (move.outruns_link) vm->why = "It changes memory faster than its link will carry it.";
    if (move.start == fleet::Seconds(0)) now.push_back(vm->uuid);
  }
  put_in_order(job);
  std::vector<std::size_t> begin;
  for (std::size_t i = 0; i < job.vms.size(); ++i) {
    if (fleet::holds(now, job.vms[i].uuid)) begin.push_back(i);
  }
  return begin;
}

}  // namespace drover::place
