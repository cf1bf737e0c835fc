// SPDX-License-Identifier: Apache-2.0
// All moves of this host: plans kept for a while, moves started, found again after a restart,
// listed, cancelled. What may not begin yet waits in a queue (engine_queue.cpp, docs/queue.md). One
// thread for each move that leaves, one that lets moves begin, and one that keeps house. Any thread
// may call any function.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "move/destination/destination_side.h"
#include "move/health/health_watch.h"
#include "move/move_work.h"
#include "move/plan/planner.h"
#include "move/queue/move_queue.h"
#include "move/resolve.h"
#include "move/world.h"

namespace drover::move {

class Engine {
 public:
  // `changed` hears of every change of a move, from the moves' threads; it must return soon.
  Engine(World& world, DestinationSide& destination, MoveListener changed);
  // Leaves moves as they are; gates, movers and libvirt go on (see stop()).
  ~Engine();

  // Says which other job has a VM of this host, by its id, or nothing: it is not moved meanwhile.
  // Before anything else, if at all.
  void keep_away(std::function<std::string(std::string_view vm_uuid)> busy) {
    busy_ = std::move(busy);
  }
  // Takes up what the journal holds. Call once, before anything else.
  Status recover();
  // Calls `change` while no move, export or import has this VM of this host, and none can begin; no
  // lock is held meanwhile. kConflict: one has it, a parked move leaves it in doubt, or it is being
  // changed already; then nothing was called. No move begins by a plan that was being made
  // meanwhile.
  Status while_free(const Vm& vm, const std::function<Status()>& change);
  // Asks every thread to leave its move as it is, and waits for all of them.
  void stop();

  Result<Plan> plan(const MoveRequest& request);
  // The plan would let a move begin: of kBlocked the causes say what does not. Keeps nothing.
  Status check(const MoveRequest& request) const;
  Result<Plan> kept_plan(std::string_view id) const;
  // A kept plan's request with what its user has accepted since. kConflict: what it was made of has
  // changed; the causes say what (stale_plan.h). Many may be asked for at once: they are checked
  // side by side, and each waits for `approval.after` before it takes its place.
  Result<Move> start_planned(const PlanApproval& approval);
  Result<Move> start(const MoveRequest& request);

  // Those that wait for their turn, in order, with their positions.
  std::vector<Move> queue() const;
  // kConflict: it does not wait any more.
  Result<Move> hold(std::string_view id, bool held);
  Result<Move> set_priority(std::string_view id, int priority);

  std::vector<Move> moves() const;
  // Those that have begun and not ended.
  std::vector<Move> under_way() const;
  Result<Move> move(std::string_view id) const;
  Result<Move> cancel(std::string_view id);
  // What an administrator says of a move in doubt, or parked (resolve.h): checked, written down,
  // and followed. Takes as long as the destination's answer.
  Result<Move> resolve(std::string_view id, const Claim& claim);
  // See MoveWork::converge.
  Result<Move> converge(std::string_view id, const Convergence& policy);
  // From the hypervisor: the guest of a move stands still.
  void take_vm_event(const VmEvent& event);
  // The id of the move that a VM of this host is in, or nothing.
  std::string moving(std::string_view vm_uuid) const;
  // kConflict: a move of this VM of this host is parked, and its other host may run it; the text
  // says how that is settled.
  Status check_no_doubt(const Vm& vm) const;
  // A move of ours takes this VM away, or brings it, or did so a moment ago: its events are ours.
  bool concerns(std::string_view vm_uuid) const;

 private:
  struct Running {
    std::unique_ptr<MoveWork> move;
    std::jthread thread;  // none: the move waits in the queue, or its undo has to be told
  };

  Status check_free(const Vm& vm) const;
  Status check_unused(const Vm& vm) const;
  Result<bool> leaves_in_doubt(std::string_view parked) const;
  Status find_parked();
  Status claim(const Vm& vm);
  void end_claim(const std::string& uuid);
  Status check_unchanged(const Vm& vm, std::chrono::steady_clock::time_point since) const;
  Status go_on(std::string_view id, const Resolution& resolution);
  Result<Planned> plan_free(const MoveRequest& request) const;
  Result<Planned> kept(std::string_view plan_id) const;
  Result<std::string> place_planned(const PlanApproval& approval);
  void wait_behind(std::string_view plan_id);
  void end_asking(std::string_view plan_id);
  // Its id. `since`: when its plan was begun.
  Result<std::string> place(Planned planned, std::chrono::steady_clock::time_point since);
  MoveListener listener();
  void enqueue(SourceJob job);
  std::vector<Waiting> waiting() const;
  Result<Move> change_place(std::string_view id, const std::function<void(QueuePlace&)>& edit);
  void let_begin(std::stop_token stop);
  bool dispatch();
  void requeue();
  enum class Asked { kGranted, kFull, kFailed };
  std::pair<Asked, std::string> ask(const Waiting& move);
  bool begin(std::string_view id);
  bool begin_here(std::string_view id, const HostSettings& settings, std::string& full);
  void tell_place(std::string_view id, unsigned position, const std::string& waits_for);
  void look_at_queue();
  void wait_for_a_look();
  void launch(SourceJob job, void (MoveWork::*how)(std::stop_token));
  void keep_house(std::stop_token stop);
  void measure();
  void retry_undos();
  void reap();

  World& world_;
  DestinationSide& destination_;
  const MoveListener changed_;
  std::function<std::string(std::string_view)> busy_;
  HealthWatch health_;
  std::mutex starting_;       // one start at a time: two of one VM must see each other
  mutable std::mutex mutex_;  // guards all below; taken after starting_
  struct Kept {
    Planned planned;
    bool asked_for = false;  // its move has its place, or was refused
  };
  std::map<std::string, Kept, std::less<>> plans_;
  std::set<std::string, std::less<>> claimed_;  // UUIDs that while_free() changes
  // When it last did, by UUID; older than any plan's life is forgotten.
  std::map<std::string, std::chrono::steady_clock::time_point, std::less<>> changed_at_;
  std::map<std::string, std::shared_ptr<Running>, std::less<>> running_;
  std::map<std::string, std::string, std::less<>> parked_;  // by id: the VM's UUID; not running_
  std::condition_variable_any woken_;  // with mutex_: all of it ends, or a plan was asked for
  QueuePacing pacing_;                 // the dispatcher's own
  std::mutex look_mutex_;              // guards the three below; taken last
  std::condition_variable_any look_changed_;
  bool look_wanted_ = false;
  std::uint64_t looks_begun_ = 0, looks_ended_ = 0;
  std::jthread dispatcher_;
  std::jthread housekeeper_;
};

}  // namespace drover::move
