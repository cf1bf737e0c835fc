// SPDX-License-Identifier: Apache-2.0
// One live move, seen from the source: the product. live_move.cpp is the main flow, one page; the
// phases stand in live_move_phases.cpp, what goes ahead of it in live_layers.cpp, the copy's
// progress and what becomes of a guest that outruns the link in live_move_convergence.cpp, what
// decides who runs the VM in live_move_switch.cpp, the way back, and what follows a failed attempt,
// in live_move_undo.cpp; what holds a copy up for a while in live_move_holds.cpp, and a rehearsal
// in live_move_rehearsal.cpp; what it shares with other moves to another host in peer_move.h.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include "move/carriers.h"
#include "move/health/before_sampler.h"
#include "move/live/convergence.h"
#include "move/live/pass_book.h"
#include "move/peer_move.h"
#include "move/progress.h"

namespace drover::move {

class LiveMove final : public PeerMove {
 public:
  LiveMove(World& world, SourceJob job, MoveListener changed);
  ~LiveMove() override;

  Status cancel() override;  // kConflict once the switch has begun
  // kConflict: too late, or libvirt takes no such word any more.
  Status converge(const Convergence& policy) override;
  void guest_stopped() override { stands_still_ = true; }
  Move snapshot() const override;

 private:
  static const std::vector<Step<LiveMove>>& steps();
  void run_from(Phase first) override { take(*this, steps(), first); }
  void go_on(Phase reached) override;
  // The switch begins when its FINISH is seen, not when libvirt's call has ended.
  StepResult begin(Phase phase) override;
  // After libvirt was called the destination may have the VM.
  bool is_undone_at(Phase) const override { return !job_.migrate_called; }
  // libvirt's call, once made, is aborted by watch(), and the records say how that ended: its
  // FINISH may have been let pass before we saw it.
  bool takes_cancel() const override { return !job_.migrate_called; }
  void end(const StepResult& result) override;

  // The phases, in order (live_move_phases.cpp).
  StepResult prepare();
  StepResult copy();
  StepResult settle_switch();
  StepResult settle();
  StepResult undefine_here();

  // Files that disks stand on and that the destination does not have (live_layers.cpp).
  StepResult bring_layers();
  StepResult send_layers(const std::vector<ColdFile>& layers);
  void count_copied(Progress& progress) const override;

  // Parts of prepare() and copy().
  Result<std::vector<gate::FencedDisk>> open_source_files();
  Status add_fence_image(std::vector<gate::FencedDisk>& fence, UniqueFd& for_qemu);
  Status hold_fence(const std::vector<gate::FencedDisk>& fence, const UniqueFd& image);
  StepResult watch(const std::function<bool()>& ended);
  void look_after_a_late_answer();
  void take_event(const CarrierEvent& event);
  void sample_progress();
  void take_policy();  // REQUIRES: mutex_ held
  void keep_policy();
  void judge(const JobProgress& sample);
  void tell_convergence(const ConvergenceWatch::Advice& advice);
  void tell_downtime(std::chrono::milliseconds limit);
  ConvergenceScene convergence_scene() const;
  // What holds the copy up (live_move_holds.cpp).
  std::optional<Error> keep_space() override;
  Status hold_for_the_window();
  void keep_window();
  Status tell_window(bool hold, std::chrono::system_clock::time_point now);
  bool may_copy_memory(std::chrono::system_clock::time_point now);
  std::chrono::seconds memory_takes() const;
  void memory_waits();
  void rest();
  bool take_place_again();
  bool job_is_over();
  // A rehearsal ends where the copy begins (live_move_rehearsal.cpp).
  bool is_rehearsal() const { return job_.move.plan.request.rehearse; }
  Status hold_for_the_rehearsal();
  void keep_rehearsal();
  void let_disks_go();
  void add_to_report(const VerifyReply& reply, Move& move) override;
  std::string not_there(const std::string& why) const override;

  StepResult disks_differ(const std::string& difference) override;
  void stop_the_watch();

  // Who runs the VM (live_move_switch.cpp).
  StepResult settle_doubt_at_the_gate();
  void links_are_down() override;
  void tell_gate(const Answer& answer);
  bool gate_never_switches();

  StepResult source_keeps_it(std::string_view why);
  StepResult destination_has_it();

  // The way back (live_move_undo.cpp). Safe to run twice. False: droverd stops in between, the next
  // one goes on.
  bool undo();
  void stop_carriers();
  bool take_back_the_guest();
  Status end_migration();
  std::string migration_status() const;  // QEMU's word; empty: it says nothing
  bool is_at_switch() const;
  void push_cancel();
  void end_channels();
  void tell_qemu_to_cancel();
  void stop_for_a_moment();
  void lift_fence();
  void announce();

  void entering(Move& move, Phase phase) override;
  void ended(Move& move) override;
  void begin_health(Move& move, std::chrono::seconds watch) const;

  // libvirt's call, on its own thread.
  struct MigrateOutcome {
    std::mutex mutex;  // guards both
    bool over = false;
    std::optional<Error> error;
  };

  std::atomic<bool> stands_still_{false};  // the guest, for the switch
  std::optional<gate::Fence>
      fence_;  // droverd's own copies of the descriptors; QEMU and the gate hold others
  std::optional<ProgressMeter> meter_;
  std::optional<PassBook> passes_;
  std::optional<ConvergenceWatch> convergence_;
  std::optional<Convergence> policy_asked_;  // by converge(), not taken yet; guarded by mutex_
  bool slowing_settled_ = false;             // libvirt has been told, or not; guarded by mutex_
  WireCount brought_;                        // by the road that went ahead
  bool stood_still_ = false;  // the guest did, for the switch: nothing is judged any more
  std::optional<Deadline> next_cancel_look_;
  std::string cancel_seen_;                     // the state of QEMU's migration at the last look
  bool stopped_for_a_moment_ = false;           // the guest, by us
  std::chrono::milliseconds downtime_told_{0};  // to libvirt; 0: not known
  Deadline next_downtime_ = Deadline::after(std::chrono::milliseconds(0));
  std::optional<Error> given_up_;   // as the policy says
  bool memory_held_ = false;        // for the window
  bool memory_hold_unsure_ = true;  // the mover may not have heard; nor do we know
  bool memory_begun_ = false;       // it was let pass before: only its rest waits
  bool in_sync_ = false;            // its disks are, or are shared: only memory is left
  bool rests_ = false;              // until its window opens: it has no place on either host
  Deadline next_window_look_ = Deadline::after(std::chrono::milliseconds(0));
  Deadline next_place_ = Deadline::after(std::chrono::milliseconds(0));  // asked for, or given back
  BytesPerSecond best_rate_;                                             // that its disks had
  std::optional<Error>
      carrier_error_;  // our own process died: what libvirt says of it is only a consequence
  std::optional<Error> migrate_error_;
  std::shared_ptr<MigrateOutcome> migrate_call_;
  std::unique_ptr<BeforeSampler> sampler_;  // while it is copied
  std::optional<Deadline> switch_due_;      // of a move that shall end
  bool road_cut_ = false;                   // by us, to end the move
  bool rehearsed_ = false;                  // all that a rehearsal tries has worked
  std::optional<Deadline> rehearsal_until_, all_copy_by_;
  Deadline next_rehearsal_look_ = Deadline::after(std::chrono::milliseconds(0));
  bool gate_ended_ = false;  // it said its last word
  bool in_doubt_ = false;
  std::optional<Deadline> answer_due_;  // of FINISH; later, we look there ourselves
  Deadline next_sample_ = Deadline::after(std::chrono::milliseconds(0));
};

}  // namespace drover::move
