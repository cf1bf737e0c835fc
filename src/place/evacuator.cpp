// SPDX-License-Identifier: Apache-2.0
#include "place/evacuator.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/log.h"
#include "base/random.h"
#include "json/evacuation_json.h"
#include "place/evacuation_run.h"

namespace drover::place {
namespace {

using namespace std::chrono_literals;

constexpr int kJobsKept = 50;
constexpr std::size_t kIdCharacters = 8;
// While one goes on: moves of other hosts, and hosts that drop out, say nothing.
constexpr auto kStepInterval = 2s;
// For a forecast; who asked for it waits a minute.
constexpr auto kAskFor = 40s;

bool goes_on(const Evacuation& job) { return job.state == EvacuationState::kRunning; }

// Without what is found out again in each step: the journal is written when something has happened.
std::string lasting_text(Evacuation job) {
  job.planned_at = {};
  job.troubles.clear();
  for (Evacuee& vm : job.vms) {
    vm.starts_in = vm.ends_in = std::nullopt;
    vm.bytes = {};
    if (vm.state == EvacueeState::kMoving) vm.why.clear();
  }
  std::ranges::sort(job.vms, {}, &Evacuee::uuid);
  return json::to_json(job);
}

Evacuee evacuee_of(const Vm& vm) {
  Evacuee one;
  one.uuid = vm.uuid;
  one.name = vm.name;
  one.source = vm.host;
  return one;
}

}  // namespace

Status Evacuator::recover() {
  ASSIGN_OR_RETURN(const auto texts, journal_.newest_jobs(journal::Side::kFleet, kJobsKept));
  {
    const std::lock_guard lock(mutex_);
    for (const std::string& text : texts) {
      ASSIGN_OR_RETURN(Evacuation job, json::evacuation_from_json(text, json::Unknown::kIgnore));
      if (job.keeps_out) evacuated_ = true;
      if (goes_on(job)) {
        log::info("The {} of {} goes on.",
                  job.request.kind == EvacuationKind::kReturn ? "return" : "evacuation", job.host);
      }
      jobs_.push_back(std::move(job));
    }
  }
  worker_ = std::jthread([this](std::stop_token stop) { work(std::move(stop)); });
  return {};
}

void Evacuator::stop() {
  worker_.request_stop();
  if (worker_.joinable()) worker_.join();
}

void Evacuator::look() {
  const std::lock_guard lock(mutex_);
  look_wanted_ = true;
  changed_.notify_all();
}

std::vector<Evacuation> Evacuator::list() const {
  const std::lock_guard lock(mutex_);
  return jobs_;
}

Status Evacuator::check(const EvacuationRequest& request) const {
  const auto peers = book_.peers();
  for (const std::string& host : request.to) {
    if (request.kind == EvacuationKind::kReturn) {
      return fail(ErrorCode::kInvalidArgument,
                  "VMs return to {} and nowhere else: name no other hosts.", host_);
    }
    if (host == host_) {
      return fail(ErrorCode::kInvalidArgument,
                  "{} is to be evacuated, so it cannot be one of the destinations.", host);
    }
    const auto peer = std::ranges::find(peers, host, &Peer::name);
    if (peer == peers.end() || peer->state != PeerState::kPaired)
      return fail(ErrorCode::kInvalidArgument,
                  "{} is not paired with {}. drover host list shows the hosts that are.", host,
                  host_);
  }
  if (std::ranges::none_of(peers,
                           [](const Peer& peer) { return peer.state == PeerState::kPaired; }))
    return fail(ErrorCode::kInvalidArgument,
                "{} is paired with no host, so there is none to go to or to come from.", host_);
  const std::lock_guard lock(mutex_);
  const auto running = std::ranges::find_if(jobs_, goes_on);
  if (running == jobs_.end()) return {};
  return fail(ErrorCode::kConflict,
              "{} of {} goes on already. See it: drover evacuate {} --status. End it: drover "
              "evacuate {} --cancel.",
              running->request.kind == EvacuationKind::kReturn ? "A return" : "An evacuation",
              host_, host_, host_);
}

// What left by evacuations and has not come back, oldest first.
std::vector<Evacuee> Evacuator::to_bring_back(const Picture& picture) const {
  std::map<std::string, std::string> away;  // UUID -> name
  std::vector<Evacuee> back;
  const std::lock_guard lock(mutex_);
  for (auto job = jobs_.rbegin(); job != jobs_.rend(); ++job) {
    for (const Evacuee& vm : job->vms) {
      if (vm.state != EvacueeState::kMoved) continue;
      if (job->request.kind == EvacuationKind::kEvacuate)
        away[vm.uuid] = vm.name;
      else
        away.erase(vm.uuid);
    }
  }
  for (const auto& [uuid, name] : away) {
    const auto vm = picture.vms.find(uuid);
    if (vm != picture.vms.end() && vm->second.host == host_) continue;
    Evacuee one;
    one.uuid = uuid;
    one.name = name;
    back.push_back(vm == picture.vms.end() ? one : evacuee_of(vm->second));
    if (vm == picture.vms.end()) back.back().why = "It is on none of the hosts that answer.";
  }
  return back;
}

Result<Evacuation> Evacuator::prepare(const EvacuationRequest& request,
                                      const Picture& picture) const {
  if (const auto trouble = picture.troubles.find(host_); trouble != picture.troubles.end())
    return fail(ErrorCode::kUnavailable, "{}", trouble->second);
  Evacuation job;
  job.host = host_;
  job.request = request;
  job.started_at = job.planned_at = std::chrono::system_clock::now();
  for (const auto& [host, why] : picture.troubles)
    job.troubles.push_back(fmt::format("{}: {}", host, why));
  if (request.kind == EvacuationKind::kReturn) {
    job.vms = to_bring_back(picture);
    if (!job.vms.empty() || evacuated_) return job;
    return fail(ErrorCode::kNotFound,
                "No VM that left {} by an evacuation is away, and {} is not evacuated.", host_,
                host_);
  }
  for (const auto& [uuid, vm] : picture.vms) {
    if (vm.host == host_) job.vms.push_back(evacuee_of(vm));
  }
  return job;
}

Result<Evacuation> Evacuator::plan(const EvacuationRequest& request) {
  RETURN_IF_ERROR(check(request));
  const Picture picture = ground_.look();
  ASSIGN_OR_RETURN(Evacuation job, prepare(request, picture));
  Verdicts verdicts;
  const auto now = std::chrono::steady_clock::now();
  RETURN_IF_ERROR(decide(job, picture, {ground_, verdicts, now, now + kAskFor}));
  for (Evacuee& vm : job.vms) {
    if (!vm.starts_in) vm.state = EvacueeState::kStays;
  }
  return job;
}

Result<Evacuation> Evacuator::start(const EvacuationRequest& request) {
  const std::lock_guard starting(starting_);
  RETURN_IF_ERROR(check(request));
  ASSIGN_OR_RETURN(Evacuation job, prepare(request, ground_.look()));
  job.id = random_name(kIdCharacters);
  job.state = EvacuationState::kRunning;
  job.keeps_out = request.kind == EvacuationKind::kEvacuate;
  log::info("{} of {}, asked by {}: {} VMs.", job.keeps_out ? "Evacuation" : "Return", host_,
            request.requested_by, job.vms.size());
  // Whether it was emptied before says nothing any more.
  for (Evacuation& earlier : list()) {
    if (!earlier.keeps_out) continue;
    earlier.keeps_out = false;
    RETURN_IF_ERROR(save(earlier));
  }
  RETURN_IF_ERROR(save(job));
  look();
  return job;
}

Result<Evacuation> Evacuator::cancel(std::string_view requested_by) {
  const std::lock_guard starting(starting_);
  const std::lock_guard saving(saving_);
  Evacuation job;
  {
    const std::lock_guard lock(mutex_);
    auto found = std::ranges::find_if(jobs_, goes_on);
    if (found == jobs_.end()) found = std::ranges::find_if(jobs_, &Evacuation::keeps_out);
    if (found == jobs_.end())
      return fail(ErrorCode::kConflict, "{} is not being evacuated, nor was it.", host_);
    job = *found;
    if (goes_on(job))
      cancelled_ = {job.id, requested_by.empty() ? "somebody" : std::string(requested_by)};
  }
  if (goes_on(job)) {
    job.cancel_asked = true;
  } else {
    job.keeps_out = false;
    log::info("{} may be chosen as a destination again: {} asks for it.", host_, requested_by);
  }
  RETURN_IF_ERROR(write(job));
  look();
  return job;
}

std::string Evacuator::cancelled_by(std::string_view job) const {
  const std::lock_guard lock(mutex_);
  return cancelled_.job == job ? cancelled_.by : "";
}

// A cancel that was answered survives, also if the run has not seen it yet.
Status Evacuator::save(Evacuation job) {
  const std::lock_guard saving(saving_);
  if (goes_on(job) && !cancelled_by(job.id).empty()) job.cancel_asked = true;
  return write(job);
}

// REQUIRES: saving_.
Status Evacuator::write(const Evacuation& job) {
  if (std::string lasting = lasting_text(job); lasting != written_[job.id]) {
    const auto state = goes_on(job) ? journal::JobState::kOpen : journal::JobState::kEnded;
    RETURN_IF_ERROR(journal_.save(journal::Side::kFleet, job.id, state, json::to_json(job)));
    written_[job.id] = std::move(lasting);
  }
  if (!goes_on(job)) written_.erase(job.id);
  const std::lock_guard lock(mutex_);
  const auto known = std::ranges::find(jobs_, job.id, &Evacuation::id);
  if (known != jobs_.end()) {
    *known = job;
  } else {
    jobs_.insert(jobs_.begin(), job);
    if (jobs_.size() > kJobsKept) jobs_.pop_back();
  }
  evacuated_ = std::ranges::any_of(jobs_, &Evacuation::keeps_out);
  return {};
}

void Evacuator::work(std::stop_token stop) {
  while (!stop.stop_requested()) {
    std::optional<Evacuation> job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, stop, [&] { return std::ranges::any_of(jobs_, goes_on); });
      if (stop.stop_requested()) return;
      job = *std::ranges::find_if(jobs_, goes_on);
    }
    Evacuation ended = run(std::move(*job), stop);
    // It ended by itself just when somebody asked for that.
    if (!goes_on(ended) && ended.keeps_out && !cancelled_by(ended.id).empty()) {
      ended.keeps_out = false;
      if (const Status saved = save(ended); !saved) log::warning("{}", saved.error().text());
    }
    const std::lock_guard lock(mutex_);
    if (cancelled_.job == ended.id) cancelled_ = {};
  }
}

Evacuation Evacuator::run(Evacuation job, std::stop_token stop) {
  EvacuationRun run(std::move(job), ground_, [this](const Evacuation& now) { return save(now); });
  while (!stop.stop_requested() && goes_on(run.job())) {
    if (const std::string by = cancelled_by(run.job().id); !by.empty()) run.cancel(by);
    const Status stepped =
        run.step(std::chrono::steady_clock::now(), std::chrono::system_clock::now());
    if (!stepped) log::warning("The evacuation of {}: {}", host_, stepped.error().text());
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, stop, kStepInterval, [&] { return look_wanted_; });
    look_wanted_ = false;
  }
  return run.job();
}

}  // namespace drover::place
