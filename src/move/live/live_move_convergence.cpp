// SPDX-License-Identifier: Apache-2.0
// How the copy goes on, and a guest that changes its memory faster than the link carries it: people
// are told, libvirt is told how long it may stand still, and the policy is carried out
// (docs/convergence.md).
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "move/live/live_move.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kSampleInterval = 250ms;  // progress; people are told within 2 s
constexpr auto kDowntimeInterval = 1s;   // libvirt is told no more often

}  // namespace

void LiveMove::sample_progress() {
  if (!next_sample_.expired()) return;
  next_sample_ = Deadline::after(kSampleInterval);
  const auto sample = world_.hypervisor.job_progress(uuid());
  if (!sample || !sample->active) return;
  // QEMU has begun, and nothing of it goes out.
  if (sample->copying_memory && memory_held_) return memory_waits();
  if (sample->copying_memory && job_.move.phase < Phase::kCopyMemory)
    has_entered(Phase::kCopyMemory);
  if (passes_->is_new(*sample) && carriers_->mover_alive())
    wire_ = carriers_->wire_count().value_or(wire_);
  passes_->take(*sample, wire_, PassBook::Clock::now());
  {
    const std::lock_guard lock(mutex_);
    auto warning = std::move(job_.move.progress.warning);
    job_.move.progress = meter_->sample(*sample, ProgressMeter::Clock::now());
    job_.move.progress.phase = job_.move.phase;
    job_.move.progress.passes = passes_->passes();
    job_.move.progress.warning = std::move(warning);
    best_rate_ = std::max(best_rate_, job_.move.progress.disks.rate);
  }
  judge(*sample);
  changed_(MoveChange::kProgress, snapshot());
}

Status LiveMove::converge(const Convergence& policy) {
  const std::lock_guard lock(mutex_);
  const Move& move = job_.move;
  if (move.state != MoveState::kRunning) {
    return fail(ErrorCode::kConflict, "Move {} has ended already ({}).", move.id,
                move_state_name(move.state));
  }
  if (move.phase >= Phase::kSwitch) {
    return fail(ErrorCode::kConflict, "Move {} is in its switch: its memory has been copied.",
                move.id);
  }
  if (policy.policy == ConvergencePolicy::kSlowGuest && slowing_settled_ && !move.may_slow_guest) {
    return fail(ErrorCode::kConflict,
                "libvirt can be told to slow a guest only when its move starts. Cancel this one "
                "(drover cancel {}) and move {} again with --convergence slow-guest, or choose "
                "another policy.",
                move.id, move.plan.vm.name);
  }
  policy_asked_ = policy;
  return {};
}

void LiveMove::take_policy() {
  if (auto asked = std::exchange(policy_asked_, std::nullopt)) job_.move.convergence = *asked;
}

void LiveMove::keep_policy() {
  {
    const std::lock_guard lock(mutex_);
    take_policy();
  }
  const Convergence& policy = job_.move.convergence;
  if (policy == convergence_->policy()) return;
  log::info("Move {}: its convergence policy is {}.", job_.move.id, convergence_text(policy));
  convergence_->set_policy(policy, ConvergenceWatch::Clock::now());
  if (auto saved = save(); !saved) log::error("Move {}: {}", job_.move.id, saved.error().text());
}

void LiveMove::judge(const JobProgress& sample) {
  if (stood_still_ || job_.move.phase >= Phase::kSwitch) return;
  const auto advice = convergence_->take(sample, wire_, ConvergenceWatch::Clock::now());
  if (advice.is_new) tell_convergence(advice);
  if (advice.give_up && !given_up_) {
    given_up_ = convergence_error(advice, convergence_scene());
    log::warning("Move {}: {}", job_.move.id, given_up_->message);
  }
  tell_downtime(advice.downtime);
}

ConvergenceScene LiveMove::convergence_scene() const {
  return {.vm_name = job_.move.plan.vm.name,
          .move_id = job_.move.id,
          .policy = convergence_->policy(),
          .may_slow_guest = job_.move.may_slow_guest,
          .limited = world_.book.settings().bandwidth.value != 0};
}

// Once for each new verdict; until the next one it stands in the progress.
void LiveMove::tell_convergence(const ConvergenceWatch::Advice& advice) {
  std::optional<Finding> warning;
  if (advice.verdict == ConvergenceWatch::Verdict::kConverges) {
    log::info("Move {}: {} no longer outruns the link.", job_.move.id, job_.move.plan.vm.name);
  } else {
    warning = convergence_warning(advice, convergence_scene());
    log::warning("Move {}: {} {}", job_.move.id, warning->what, warning->why);
  }
  change([&](Move& move) { move.progress.warning = std::move(warning); });
}

// A limit that cannot be set is no reason to end the move: it is tried again with the next sample.
void LiveMove::tell_downtime(std::chrono::milliseconds limit) {
  const auto differs = limit > downtime_told_ ? limit - downtime_told_ : downtime_told_ - limit;
  if (differs * 10 < limit || !next_downtime_.expired()) return;
  next_downtime_ = Deadline::after(kDowntimeInterval);
  if (auto set = world_.hypervisor.set_downtime_limit(uuid(), limit); !set) {
    log::warning("Move {}: {}", job_.move.id, set.error().text());
    return;
  }
  log::info("Move {}: QEMU may expect a pause of {} ms.", job_.move.id, limit.count());
  downtime_told_ = limit;
}

}  // namespace drover::move
