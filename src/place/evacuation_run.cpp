// SPDX-License-Identifier: Apache-2.0
#include "place/evacuation_run.h"

#include <algorithm>

#include "base/log.h"

namespace drover::place {
namespace {

using namespace std::chrono_literals;

// After a failure, its destination is not chosen again for the VM for so long, doubled each time.
constexpr auto kAgainAfter = 10s;
constexpr auto kBlockedFor = 60s;
constexpr auto kConflictFor = 3s;
// A VM that has just left may still be listed for a moment.
constexpr auto kBackFor = 10s;
// Nothing can begin and nothing moves: for so long hosts may come back and room come free.
constexpr auto kHopeFor = 20s;

constexpr bool is_return(const Evacuation& job) {
  return job.request.kind == EvacuationKind::kReturn;
}

std::size_t count(const Evacuation& job, EvacueeState state) {
  return static_cast<std::size_t>(std::ranges::count(job.vms, state, &Evacuee::state));
}

}  // namespace

std::string summary(const Evacuation& job) {
  const std::size_t moved = count(job, EvacueeState::kMoved);
  const std::size_t rest = job.vms.size() - moved;
  std::string text =
      is_return(job) ? fmt::format("{} of {} VMs are back on {}", moved, job.vms.size(), job.host)
                     : fmt::format("{} of {} VMs have left {}", moved, job.vms.size(), job.host);
  if (rest == 0) return text + ".";
  return text + fmt::format("; {} {} not.", rest, is_return(job) ? "are" : "have");
}

EvacuationRun::EvacuationRun(Evacuation job, Ground& ground, Save save)
    : job_(std::move(job)), ground_(ground), save_(std::move(save)) {}

void EvacuationRun::tell(std::string sentence) {
  log::info("{} of {}: {}", is_return(job_) ? "Return" : "Evacuation", job_.host, sentence);
  if (job_.events.size() >= kEvacuationEventsMax) job_.events.erase(job_.events.begin());
  job_.events.push_back(std::move(sentence));
}

void EvacuationRun::cancel(const std::string& by) {
  if (job_.cancel_asked) return;
  job_.cancel_asked = true;
  tell(fmt::format("{} asks for an end.", by));
}

Status EvacuationRun::step(Time now, std::chrono::system_clock::time_point time) {
  if (job_.state != EvacuationState::kRunning) return {};
  const Picture picture = ground_.look();
  job_.troubles.clear();
  for (const auto& [host, why] : picture.troubles)
    job_.troubles.push_back(fmt::format("{}: {}", host, why));
  verdicts_.forget_old(now);
  // Without the own hypervisor nothing is known, least of all that nothing can be done.
  if (picture.troubles.contains(picture.here)) {
    hopeless_since_ = {};
    return save_(job_);
  }
  take_up(now, picture);
  look_at_moves(now, picture);
  if (job_.cancel_asked) {
    end_cancelled();
    if (count(job_, EvacueeState::kMoving) == 0) end(EvacuationState::kCancelled, time);
    return save_(job_);
  }
  job_.planned_at = time;
  RETURN_IF_ERROR(begin_moves(now, picture));
  if (!nothing_more(now)) {
    hopeless_since_ = {};
  } else if (hopeless_since_ == Time()) {
    hopeless_since_ = now;
  }
  const bool all_there =
      count(job_, EvacueeState::kWaits) + count(job_, EvacueeState::kMoving) == 0;
  if (all_there || (hopeless_since_ != Time() && now - hopeless_since_ >= kHopeFor))
    end(EvacuationState::kDone, time);
  return save_(job_);
}

// VMs that came to the host meanwhile leave it too; what is gone from where it was is looked for.
void EvacuationRun::take_up(Time now, const Picture& picture) {
  for (Evacuee& vm : job_.vms) {
    if (vm.state == EvacueeState::kWaits) find_again(vm, picture);
  }
  if (is_return(job_)) return;
  for (const auto& [uuid, vm] : picture.vms) {
    const auto known = std::ranges::find(job_.vms, uuid, &Evacuee::uuid);
    if (vm.host != job_.host) {
      back_since_.erase(uuid);
    } else if (known == job_.vms.end()) {
      Evacuee& fresh = job_.vms.emplace_back();
      fresh.uuid = uuid;
      fresh.name = vm.name;
      fresh.source = job_.host;
      tell(fmt::format("{} came to {} meanwhile, and is to leave it too.", vm.name, job_.host));
    } else if (known->state == EvacueeState::kMoved &&
               now - back_since_.try_emplace(uuid, now).first->second >= kBackFor) {
      known->state = EvacueeState::kWaits;
      tell(fmt::format("{} came back to {}, and is to leave it again.", vm.name, job_.host));
    }
  }
}

void EvacuationRun::find_again(Evacuee& vm, const Picture& picture) {
  // Begun just before this daemon was killed. One that was recalled or failed is at its last line.
  if (const std::string move = ground_.moving(vm.uuid);
      !move.empty() && move != vm.move && vm.source == picture.here) {
    vm.move = move;
    vm.state = EvacueeState::kMoving;
    return;
  }
  const auto there = picture.vms.find(vm.uuid);
  if (there == picture.vms.end()) {
    // Its host may only be silent.
    vm.why = picture.troubles.contains(vm.source) ? fmt::format("{} does not answer.", vm.source)
                                                  : "It is on none of the hosts that answer.";
    vm.destination.clear();
    vm.starts_in = vm.ends_in = std::nullopt;
    return;
  }
  vm.name = there->second.name;
  const std::string& host = there->second.host;
  const bool arrived = is_return(job_) ? host == job_.host : host != job_.host;
  if (!arrived) {
    vm.source = host;
    return;
  }
  vm.state = EvacueeState::kMoved;
  vm.destination = host;
  vm.why.clear();
  tell(fmt::format("{} is on {}.", vm.name, host));
}

void EvacuationRun::look_at_moves(Time now, const Picture& picture) {
  for (Evacuee& vm : job_.vms) {
    if (vm.state == EvacueeState::kMoving) look_at_move(vm, now, picture);
  }
}

void EvacuationRun::look_at_move(Evacuee& vm, Time now, const Picture& picture) {
  const auto view = ground_.view(vm.source, vm.move);
  if (!view) {
    vm.why = view.error().message;
    // A journal that was lost; libvirt says where the VM is.
    if (view.error().code == ErrorCode::kNotFound) vm.state = EvacueeState::kWaits;
    return;
  }
  // Somebody else may have begun it. Of a return it is this host, under another's name.
  if (!is_return(job_) && !view->destination.empty()) vm.destination = view->destination;
  switch (view->state) {
    case MoveState::kDone:
      vm.state = EvacueeState::kMoved;
      vm.why.clear();
      vm.fixes.clear();
      tell(fmt::format("{} has moved to {}.", vm.name, vm.destination));
      return;
    case MoveState::kFailed:
      return move_failed(vm, *view, now);
    case MoveState::kCancelled:
      vm.state = EvacueeState::kStays;
      vm.why = fmt::format("Its move {} was cancelled.", vm.move);
      tell(fmt::format("{} stays: {}", vm.name, vm.why));
      return;
    case MoveState::kParked:
      vm.state = EvacueeState::kStays;
      vm.why = "Its move needs a person: " + view->explanation;
      vm.fixes = {fmt::format("drover show {}", vm.move)};
      tell(fmt::format("{}: {}", vm.name, vm.why));
      return;
    // Somebody's rehearsal that stood in the way: it is asked for anew.
    case MoveState::kRehearsed:
      vm.state = EvacueeState::kWaits;
      vm.why.clear();
      return;
    case MoveState::kRunning:
      break;
  }
  vm.why = view->queued ? view->explanation : "";
  if (!view->queued || may_wait_on(vm, picture)) return;
  if (!ground_.recall(vm.source, vm.move)) return;
  tell(fmt::format("{} does not wait for {} any more, and is planned anew.", vm.name,
                   vm.destination));
  vm.state = EvacueeState::kWaits;
}

// The destination of a move in the queue is still one that would be chosen.
bool EvacuationRun::may_wait_on(const Evacuee& vm, const Picture& picture) const {
  if (job_.cancel_asked) return false;
  const auto host = std::ranges::find(picture.fleet.hosts, vm.destination, &fleet::FleetHost::name);
  if (host == picture.fleet.hosts.end() || host->unreachable || !host->incoming) return false;
  return is_return(job_) || !host->evacuated;
}

void EvacuationRun::move_failed(Evacuee& vm, const MoveView& view, Time now) {
  ++vm.attempts;
  vm.why = view.explanation;
  tell(fmt::format("The move {} of {} to {} failed: {}", vm.move, vm.name, vm.destination,
                   view.explanation));
  if (vm.attempts >= kAttemptsMost) {
    vm.state = EvacueeState::kStays;
    vm.fixes = {fmt::format("drover show {}", vm.move)};
    tell(fmt::format("{} stays: {} moves of it failed.", vm.name, vm.attempts));
    return;
  }
  vm.state = EvacueeState::kWaits;
  const auto until = now + kAgainAfter * (1U << (vm.attempts - 1));
  again_at_[vm.uuid] = until;
  verdicts_.put(vm.uuid, vm.destination,
                {false, "A move to it has just failed: " + view.explanation, {}, until});
}

void EvacuationRun::end_cancelled() {
  for (Evacuee& vm : job_.vms) {
    if (vm.state != EvacueeState::kWaits) continue;
    vm.state = EvacueeState::kStays;
    vm.why = "The evacuation was cancelled before its turn came.";
    if (is_return(job_)) vm.why = "The return was cancelled before its turn came.";
    vm.starts_in = vm.ends_in = std::nullopt;
  }
}

// Each refused start changes the plan, so it is made again until nothing more can begin now.
Status EvacuationRun::begin_moves(Time now, const Picture& picture) {
  constexpr int kRoundsMost = 16;
  for (int round = 0; round < kRoundsMost; ++round) {
    ASSIGN_OR_RETURN(const auto begin, decide(job_, picture, {ground_, verdicts_, now}));
    bool refused = false;
    // Written down first: who is killed here finds the moves by their VMs (find_again).
    RETURN_IF_ERROR(save_(job_));
    for (const std::size_t index : begin) refused = !begin_move(job_.vms[index], now) || refused;
    if (!refused) break;
  }
  return {};
}

bool EvacuationRun::begin_move(Evacuee& vm, Time now) {
  const auto view = ground_.start(vm.source, request_for(job_, vm));
  if (view) {
    vm.move = view->id;
    vm.state = EvacueeState::kMoving;
    again_at_.erase(vm.uuid);
    tell(fmt::format("{} goes from {} to {} (move {}).", vm.name, vm.source, vm.destination,
                     vm.move));
    return true;
  }
  tell(fmt::format("{} does not go to {}: {}", vm.name, vm.destination, view.error().text()));
  // A conflict passes: a move of it ends, or it is still arriving.
  const auto span = view.error().code == ErrorCode::kConflict ? kConflictFor : kBlockedFor;
  verdicts_.put(vm.uuid, vm.destination, refusal(view.error(), now + span));
  return false;
}

// Nothing moves, nothing is planned, and nothing is to be tried again.
bool EvacuationRun::nothing_more(Time now) const {
  return std::ranges::none_of(job_.vms, [&](const Evacuee& vm) {
    if (vm.state == EvacueeState::kMoving) return true;
    if (vm.state != EvacueeState::kWaits) return false;
    const auto again = again_at_.find(vm.uuid);
    return vm.starts_in || (again != again_at_.end() && again->second + kHopeFor > now);
  });
}

void EvacuationRun::end(EvacuationState state, std::chrono::system_clock::time_point time) {
  for (Evacuee& vm : job_.vms) {
    if (vm.state == EvacueeState::kWaits) vm.state = EvacueeState::kStays;
    vm.starts_in = vm.ends_in = std::nullopt;
  }
  job_.state = state;
  job_.ended_at = time;
  if (state == EvacuationState::kCancelled) job_.keeps_out = false;
  job_.explanation = summary(job_);
  tell(job_.explanation);
}

}  // namespace drover::place
