// SPDX-License-Identifier: Apache-2.0
#include "move/move_work.h"

#include <algorithm>
#include <thread>

#include "base/deadline.h"
#include "base/log.h"
#include "base/random.h"
#include "move/retry.h"

namespace drover::move {
namespace {

constexpr auto kJournalRetry = std::chrono::milliseconds(500);

}  // namespace

MoveWork::MoveWork(World& world, SourceJob job, MoveListener changed)
    : world_(world), changed_(std::move(changed)), job_(std::move(job)) {}

MoveWork::~MoveWork() = default;

void MoveWork::run(std::stop_token stop) {
  stop_ = std::move(stop);
  {
    const std::lock_guard lock(mutex_);
    job_.move.queue.reset();
  }
  run_from(Phase::kPlan);
}

void MoveWork::resume(std::stop_token stop) {
  stop_ = std::move(stop);
  const Phase reached = job_.move.phase;
  log::info("Move {} of {}: taken up again in phase {}.", job_.move.id, vm_name(),
            phase_name(reached));
  go_on(reached);
}

StepResult MoveWork::come_to(Phase phase) {
  if (auto interruption = interrupted(); !interruption) return interruption;
  if (auto begun = begin(phase); !begun) return begun;
  // A cancel is taken until the phase is the switch, and then it counts.
  return interrupted();
}

StepResult MoveWork::begin(Phase phase) {
  while (true) {
    const Status entered = enter(phase);
    if (entered) return {};
    if (is_undone_at(phase)) return undo_because(entered.error());
    log::error("Move {}: {}", job_.move.id, entered.error().text());
    if (!pause_for(kJournalRetry)) return leave();
  }
}

StepResult MoveWork::interrupted() const {
  if (stop_.stop_requested()) return leave();
  if (cancel_asked_ && takes_cancel())
    return undo_because(Error{ErrorCode::kCancelled, Retry::kNever, "The move was cancelled.", {}});
  return {};
}

Status MoveWork::wait_at(QueuePlace place) {
  return put_down([&](Move& move) { move.queue = std::move(place); });
}

void MoveWork::tell_place(unsigned position, std::string waits_for) {
  {
    const std::lock_guard lock(mutex_);
    auto& place = job_.move.queue;
    if (!place || (place->position == position && place->waits_for == waits_for)) return;
    place->position = position;
    place->waits_for = std::move(waits_for);
  }
  changed_(MoveChange::kProgress, snapshot());
}

Status MoveWork::converge(const Convergence&) {
  const Move move = snapshot();
  return fail(ErrorCode::kConflict,
              "Move {} is a {} move: it copies no memory, so no guest can outrun it.", move.id,
              move_kind_name(move.plan.kind));
}

Status MoveWork::resolve(const Resolution&) {
  const Move move = snapshot();
  return fail(ErrorCode::kConflict,
              "Move {} never leaves its host: there is no doubt of who runs {}.", move.id,
              move.plan.vm.name);
}

SourceJob MoveWork::take_job() {
  const std::lock_guard lock(mutex_);
  return std::move(job_);
}

Status MoveWork::check_running() const {
  const Move move = snapshot();
  if (move.state == MoveState::kRunning) return {};
  return fail(ErrorCode::kConflict, "Move {} has ended already ({}).", move.id,
              move_state_name(move.state));
}

Move MoveWork::snapshot() const {
  const std::lock_guard lock(mutex_);
  Move move = job_.move;
  move.cancel_asked = cancel_asked_ && move.state == MoveState::kRunning;
  return move;
}

// A further step of the same phase is no news: what a step has done is written down by itself.
Status MoveWork::enter(Phase phase) {
  if (job_.move.phase == phase && !job_.move.phases.empty()) {
    const std::lock_guard lock(mutex_);
    job_.move.progress.phase = phase;
    entering(job_.move, phase);
    return {};
  }
  RETURN_IF_ERROR(put_down([&](Move& move) { begin_phase(move, phase); }));
  log::info("Move {} of {}: {}.", job_.move.id, vm_name(), phase_name(phase));
  return {};
}

void MoveWork::has_entered(Phase phase) {
  change([&](Move& move) { begin_phase(move, phase); });
  log::info("Move {} of {}: {}.", job_.move.id, vm_name(), phase_name(phase));
}

void MoveWork::begin_phase(Move& move, Phase phase) {
  const auto now = std::chrono::system_clock::now();
  if (!move.phases.empty()) move.phases.back().ended_at = now;
  move.phases.push_back({phase, now, {}});
  move.phase = phase;
  move.progress.phase = phase;
  entering(move, phase);
}

Status MoveWork::save() {
  RETURN_IF_ERROR(write(job_));
  tell();
  return {};
}

// Nobody but the move's own thread changes the job, so nothing is lost between the copy and show();
// of one that waits, at most its place in the queue, which it is told again.
SourceJob MoveWork::edited(const std::function<void(Move&)>& edit) const {
  const std::lock_guard lock(mutex_);
  SourceJob next = job_;
  edit(next.move);
  return next;
}

Status MoveWork::put_down(const std::function<void(Move&)>& edit) {
  SourceJob next = edited(edit);
  RETURN_IF_ERROR(write(next));
  show(std::move(next.move));
  return {};
}

void MoveWork::change(const std::function<void(Move&)>& edit) {
  SourceJob next = edited(edit);
  if (auto written = write(next); !written)
    log::error("Move {}: {}", job_.move.id, written.error().text());
  show(std::move(next.move));
}

Status MoveWork::write(const SourceJob& job) {
  const Move& move = job.move;
  const bool untold = job.reserved || !job.left_epoch.empty();
  const auto state = move.state == MoveState::kRunning || untold ? journal::JobState::kOpen
                                                                 : journal::JobState::kEnded;
  auto saved = world_.journal.save(journal::Side::kSource, move.id, state, to_json(job));
  if (!saved) {
    return std::unexpected(
        wrap(saved.error(), "The journal cannot be written; the move may not go on."));
  }
  return {};
}

// The plan stays where it is: steps hold references to what it consists of.
void MoveWork::show(Move move) {
  {
    const std::lock_guard lock(mutex_);
    move.plan = std::move(job_.move.plan);
    job_.move = std::move(move);
  }
  tell();
}

void MoveWork::tell() {
  const Move seen = snapshot();
  changed_(seen.state == MoveState::kRunning ? MoveChange::kPhase : MoveChange::kState, seen);
}

void MoveWork::finish(const StepResult& result, const Ending& ending) {
  change([&](Move& move) {
    move.ended_at = std::chrono::system_clock::now();
    if (!move.phases.empty()) move.phases.back().ended_at = move.ended_at;
    move.progress.warning.reset();
    if (result) {
      move.state = MoveState::kDone;
      move.progress.percent = 100;
      return ended(move);
    }
    const StepFailure& failure = result.error();
    if (failure.then == AfterFailure::kPark) {
      move.state = MoveState::kParked;
      move.error = failure.error;
      return ended(move);
    }
    move.runner = Runner::kSource;
    if (!ending.rehearsed.empty()) {
      move.state = MoveState::kRehearsed;
      // What the undo could not put back is said beside it.
      move.explanation = move.explanation.empty()
                             ? ending.rehearsed
                             : fmt::format("{} But: {}", ending.rehearsed, move.explanation);
      return ended(move);
    }
    move.error = failure.error;
    move.state =
        failure.error.code == ErrorCode::kCancelled ? MoveState::kCancelled : MoveState::kFailed;
    if (move.explanation.empty()) move.explanation = ending.undone;
    ended(move);
  });
  if (result) {
    log::info("Move {}: {}", job_.move.id, ending.done);
  } else {
    log::warning("Move {} of {} ended as {}: {}", job_.move.id, vm_name(),
                 move_state_name(job_.move.state), result.error().error.text());
  }
}

bool MoveWork::try_again(const Error& error, Slots::Way way, const std::function<void()>& forget) {
  if (cancel_asked_) return false;
  const auto now = std::chrono::system_clock::now();
  const auto when = next_attempt(job_.move, error, world_.book.settings(), now);
  if (!when) return false;
  log::warning("Move {} of {}: attempt {} failed and was undone, another follows: {}", job_.move.id,
               vm_name(), job_.move.attempts.size() + 1, error.text());
  forget();
  change([&](Move& move) {
    move.attempts.push_back({move.epoch, std::string(phase_name(move.phase)), error, now});
    move.epoch = random_name(move.epoch.size());
    move.phase = Phase::kPlan;
    move.phases.clear();
    move.progress = {};
    move.health.reset();
    move.explanation.clear();
    move.runner = Runner::kSource;
    move.queue = QueuePlace{move.plan.request.priority, false, 0, "", move.started_at, when, {}};
  });
  world_.slots.give_back(way, job_.move.id);
  waits_again_ = true;
  changed_(MoveChange::kProgress, snapshot());  // the queue looks for it
  return true;
}

StepResult MoveWork::parked(Error error, std::string explanation) {
  change([&](Move& move) { move.explanation = std::move(explanation); });
  return std::unexpected(StepFailure{AfterFailure::kPark, std::move(error)});
}

bool MoveWork::pause_for(std::chrono::milliseconds span) const {
  const Deadline until = Deadline::after(span);
  while (!until.expired()) {
    if (stop_.stop_requested()) return false;
    std::this_thread::sleep_for(std::min(span, std::chrono::milliseconds(50)));
  }
  return true;
}

}  // namespace drover::move
