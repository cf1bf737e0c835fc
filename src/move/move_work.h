// SPDX-License-Identifier: Apache-2.0
// One move under way, of whatever kind: what the engine asks of it, how every kind takes its steps,
// keeps its journal and tells people. The kinds: live_move.h, cold_move.h, storage_move.h. run()
// and resume() occupy the calling thread until the move ends; cancel(), converge(), guest_stopped()
// and snapshot() may come from any.
#pragma once

#include <atomic>
#include <chrono>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "move/job.h"
#include "move/world.h"

namespace drover::move {

// Who may run the VM once a step has ended badly: every step's failure says it, the caller acts on
// it.
enum class AfterFailure {
  kUndo,   // the source may run it, and does: undo, the VM never noticed
  kPark,   // not known, or known but something must be done by a person
  kLeave,  // droverd is stopping: leave everything as it is, the next one goes on
};

struct StepFailure {
  AfterFailure then = AfterFailure::kUndo;
  Error error;
};
using StepResult = std::expected<void, StepFailure>;

inline std::unexpected<StepFailure> undo_because(Error error) {
  return std::unexpected(StepFailure{AfterFailure::kUndo, std::move(error)});
}
inline std::unexpected<StepFailure> leave() {
  return std::unexpected(StepFailure{AfterFailure::kLeave, {}});
}

// What is new in a move that people see.
enum class MoveChange { kProgress, kPhase, kState };
using MoveListener = std::function<void(MoveChange, const Move&)>;

class MoveWork {
 public:
  virtual ~MoveWork();
  MoveWork(const MoveWork&) = delete;
  MoveWork& operator=(const MoveWork&) = delete;

  void run(std::stop_token stop);     // from the beginning
  void resume(std::stop_token stop);  // after a restart of droverd: from the journal

  // Tells the destination of an undo that it could not hear before; false: not yet. After run() or
  // resume() ended.
  virtual bool undo_at_destination() { return true; }

  // While it waits for its turn, before run(), one thread at a time: its place in the queue,
  // written down; what people see of it, told only; and that it has a place on every host it needs.
  Status wait_at(QueuePlace place);
  void tell_place(unsigned position, std::string waits_for);
  virtual void admitted() {}

  // Asks for an end; kConflict: it is too late.
  virtual Status cancel() = 0;
  // What shall be done about a guest that outruns the link, from now on. kConflict: too late, or
  // the move copies no memory.
  virtual Status converge(const Convergence& policy);
  // The hypervisor says that the guest stands still for the switch. Returns at once.
  virtual void guest_stopped() {}
  virtual Move snapshot() const;

  // After run() or resume(): the attempt failed for a passing reason and was undone, and another
  // shall follow (docs/retry.md), by a MoveWork of its own.
  bool waits_again() const { return waits_again_; }
  bool cancel_is_asked() const { return cancel_asked_; }
  // REQUIRES: run() or resume() has returned. Nothing else may be called afterwards.
  SourceJob take_job();
  // A checked word of an administrator on who runs the VM (resolve.h), written down. It is followed
  // where the destination does not answer. kConflict: there is no such doubt (any more).
  virtual Status resolve(const Resolution& resolution);

 protected:
  // `changed` is called after each change of the Move that people see, from the move's thread.
  MoveWork(World& world, SourceJob job, MoveListener changed);

  // A kind's flow is a table of these. Several may share a phase; phases never go back.
  template <typename Kind>
  struct Step {
    Phase phase;
    StepResult (Kind::*act)();
  };
  // The steps of this phase and of those that follow, in order. Each is journaled before it acts;
  // the first that fails is the last. Ends the move with its failure, or as done.
  template <typename Kind>
  void take(Kind& kind, const std::vector<Step<Kind>>& steps, Phase first) {
    for (const Step<Kind>& step : steps) {
      if (step.phase < first) continue;
      if (auto ready = come_to(step.phase); !ready) return end(ready);
      if (auto result = (kind.*step.act)(); !result) return end(result);
    }
    end({});
  }
  // The kind's own steps, taken.
  virtual void run_from(Phase first) = 0;
  // After a restart of droverd, which came so far.
  virtual void go_on(Phase reached) = 0;
  // Enters the phase. A journal that cannot be written ends the move where it is_undone_at() that
  // phase; else the move waits until what it does next can be written down.
  virtual StepResult begin(Phase phase);
  // A cancel that still counts, or droverd's stop.
  StepResult interrupted() const;
  // The outcome is in nobody else's hands yet: a move that cannot begin this phase may go back.
  virtual bool is_undone_at(Phase phase) const = 0;
  // One that was asked for ends the move, now.
  virtual bool takes_cancel() const = 0;
  // The only place where a move of the kind gets its final state: undoes what is to be undone,
  // gives back what it holds and calls finish(). Does nothing if droverd is stopping.
  virtual void end(const StepResult& result) = 0;

  // Journal and people.
  Status enter(Phase phase);
  // It has come so far by itself: that is seen, and counts, even if it cannot be written.
  void has_entered(Phase phase);
  virtual void entering(Move& /*move*/, Phase /*phase*/) {}
  // The job as it is, written down.
  Status save();
  // The Move as `edit` leaves it, whose plan is not for it to change, is written down first and
  // seen then. An error: it is as it was.
  Status put_down(const std::function<void(Move&)>& edit);
  // Likewise of what has happened already: it is seen even if it cannot be written.
  void change(const std::function<void(Move&)>& edit);
  // The final state, and why. What is said of it, beside the error:
  struct Ending {
    std::string done;       // to the log: how things are now
    std::string undone;     // to people, unless there is an explanation already
    std::string rehearsed;  // likewise; empty: it was no rehearsal, or did not try everything
  };
  void finish(const StepResult& result, const Ending& ending);
  virtual void ended(Move& /*move*/) {}
  // The attempt failed with this error and was undone: does another follow? Then the move waits for
  // its turn again, under another epoch. `forget` clears what the journal has of this attempt.
  bool try_again(const Error& error, Slots::Way way, const std::function<void()>& forget);
  StepResult parked(Error error, std::string explanation);
  // kConflict: the move has ended.
  Status check_running() const;
  // False: droverd is stopping.
  bool pause_for(std::chrono::milliseconds span) const;
  const std::string& uuid() const { return job_.move.plan.vm.uuid; }
  const std::string& vm_name() const { return job_.move.plan.vm.name; }

  World& world_;
  MoveListener changed_;
  std::stop_token stop_;
  mutable std::mutex
      mutex_;  // guards job_.move against snapshot(); the rest of job_ is the move's thread's own
  SourceJob job_;
  std::atomic<bool> cancel_asked_{false};
  std::atomic<bool> waits_again_{false};

 private:
  StepResult come_to(Phase phase);
  void begin_phase(Move& move, Phase phase);
  SourceJob edited(const std::function<void(Move&)>& edit) const;
  Status write(const SourceJob& job);
  void show(Move move);
  void tell();
};

// The class that does moves of the job's kind.
std::unique_ptr<MoveWork> make_move_work(World& world, SourceJob job, MoveListener changed);

}  // namespace drover::move
