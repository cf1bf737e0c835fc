// SPDX-License-Identifier: Apache-2.0
// Plans that are kept for their users, and the moves that are asked for by them: checked once more,
// each with its place in the queue in the end.
#include <algorithm>

#include "base/log.h"
#include "base/random.h"
#include "move/engine.h"
#include "move/plan/interface_choice.h"
#include "move/plan/stale_plan.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kIdCharacters = 8;
constexpr std::size_t kQueueMax = 1000;
constexpr std::size_t kPlansMax = kQueueMax;  // as many as one command may ask for
constexpr auto kTurnWait = 20s;               // well within the time a client waits for an answer
constexpr auto kForecastFresh = 60s;

}  // namespace

Result<Planned> Engine::plan_free(const MoveRequest& request) const {
  ASSIGN_OR_RETURN(const Vm vm, world_.hypervisor.find_vm(request.vm));
  RETURN_IF_ERROR(check_free(vm));
  auto planned = plan_move(world_, request);
  // Once more: one that began meanwhile has its images there by now.
  RETURN_IF_ERROR(check_free(vm));
  return planned;
}

Result<Plan> Engine::plan(const MoveRequest& request) {
  ASSIGN_OR_RETURN(Planned planned, plan_free(request));
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::system_clock::now();
  std::erase_if(plans_,
                [&](const auto& item) { return item.second.planned.plan.expires_at < now; });
  if (plans_.size() >= kPlansMax) {
    plans_.erase(std::ranges::min_element(
        plans_, {}, [](const auto& item) { return item.second.planned.plan.made_at; }));
  }
  Plan plan = planned.plan;
  plans_[plan.id] = {std::move(planned)};
  return plan;
}

Status Engine::check(const MoveRequest& request) const {
  MoveRequest asked = request;
  asked.measure = false;
  ASSIGN_OR_RETURN(const Planned planned, plan_free(asked));
  return check_acceptance(planned.plan);
}

Result<Plan> Engine::kept_plan(std::string_view id) const {
  ASSIGN_OR_RETURN(Planned planned, kept(id));
  return std::move(planned.plan);
}

Result<Planned> Engine::kept(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto it = plans_.find(id);
  if (it == plans_.end() || it->second.planned.plan.expires_at < std::chrono::system_clock::now()) {
    return fail(ErrorCode::kNotFound,
                "There is no plan {}, or it has expired. Make a new one: drover plan VM HOST.", id);
  }
  return it->second.planned;
}

Result<Move> Engine::start_planned(const PlanApproval& approval) {
  const auto id = place_planned(approval);
  end_asking(approval.plan_id);
  RETURN_IF_ERROR(id);
  wait_for_a_look();
  return move(*id);
}

Result<std::string> Engine::place_planned(const PlanApproval& approval) {
  ASSIGN_OR_RETURN(const Planned shown, kept(approval.plan_id));
  MoveRequest request = shown.plan.request;
  request.vm = shown.plan.vm.uuid;
  request.accept_notes = approval.accept_notes;
  request.accepted_codes = approval.accepted_codes;
  request.requested_by = approval.requested_by;
  // What was shown is what the move is held against.
  const bool fresh = std::chrono::system_clock::now() - shown.plan.made_at < kForecastFresh;
  request.measure = shown.plan.request.measure && !(fresh && shown.plan.forecast);
  const auto since = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(Planned planned, plan_free(request));
  RETURN_IF_ERROR(check_not_stale(shown, planned));
  RETURN_IF_ERROR(check_acceptance(planned.plan));
  planned.plan.request.measure = shown.plan.request.measure;
  if (fresh && shown.plan.forecast) planned.plan.forecast = shown.plan.forecast;
  wait_behind(approval.after);
  return place(std::move(planned), since);
}

// Until it has been asked for to the end, is not kept any more, or takes long: whoever stands
// behind a request that never comes is not to wait for ever.
void Engine::wait_behind(std::string_view plan_id) {
  if (plan_id.empty()) return;
  std::unique_lock lock(mutex_);
  woken_.wait_for(lock, housekeeper_.get_stop_token(), kTurnWait, [&] {
    const auto it = plans_.find(plan_id);
    return it == plans_.end() || it->second.asked_for;
  });
}

void Engine::end_asking(std::string_view plan_id) {
  const std::lock_guard lock(mutex_);
  if (const auto it = plans_.find(plan_id); it != plans_.end()) it->second.asked_for = true;
  woken_.notify_all();
}

Result<Move> Engine::start(const MoveRequest& request) {
  const auto since = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(Planned planned, plan_free(request));
  RETURN_IF_ERROR(check_acceptance(planned.plan));
  ASSIGN_OR_RETURN(const std::string id, place(std::move(planned), since));
  wait_for_a_look();
  return move(id);
}

Result<std::string> Engine::place(Planned planned, std::chrono::steady_clock::time_point since) {
  reap();
  SourceJob job;
  job.move.id = random_name(kIdCharacters);
  job.move.epoch = job.move.id;
  job.move.plan = std::move(planned.plan);
  keep_planned(job, std::move(planned));
  job.autostart = job.move.plan.vm.autostart;
  job.move.convergence =
      job.move.plan.request.convergence.value_or(world_.book.settings().convergence);
  job.move.source = world_.host_name;
  job.move.destination = job.move.plan.request.destination;
  job.move.started_at = std::chrono::system_clock::now();
  const int priority = job.move.plan.request.priority;
  RETURN_IF_ERROR(check_priority(priority));
  RETURN_IF_ERROR(check_begin(job.move.plan.request, job.move.started_at));
  RETURN_IF_ERROR(check_retries(job.move.plan.request.retries.value_or(0)));
  job.move.queue = QueuePlace{priority, false, 0, "", job.move.started_at, {}, {}};
  const Move first = job.move;
  // Checked again: two requests may have been planned side by side.
  {
    const std::lock_guard starting(starting_);
    RETURN_IF_ERROR(check_free(first.plan.vm));
    RETURN_IF_ERROR(check_unchanged(first.plan.vm, since));
    if (waiting().size() >= kQueueMax) {
      return fail(ErrorCode::kConflict,
                  "{} moves wait already. Try again when some have begun: drover queue list.",
                  kQueueMax);
    }
    if (auto kept = remember_interfaces(world_, first.plan.request); !kept)
      log::warning("Move {}: {}", first.id, kept.error().text());
    RETURN_IF_ERROR(world_.journal.save(journal::Side::kSource, first.id, journal::JobState::kOpen,
                                        to_json(job)));
    log::info("Move {}: {} to {} ({}), asked by {}.", first.id, first.plan.vm.name,
              first.destination, move_kind_name(first.plan.kind), first.plan.request.requested_by);
    enqueue(std::move(job));
  }
  return first.id;
}

}  // namespace drover::move
