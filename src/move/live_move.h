// SPDX-License-Identifier: Apache-2.0
// One live move, seen from the source: the product. live_move.cpp is the main flow, one page; the
// phases stand in live_move_phases.cpp, the copy's progress and what becomes of a guest that
// outruns the link in live_move_convergence.cpp, what decides who runs the VM in
// live_move_switch.cpp, the proof in live_move_proof.cpp, the way back, and what follows a failed
// attempt, in live_move_undo.cpp; what holds a copy up for a while in live_move_holds.cpp.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include "move/before_sampler.h"
#include "move/carriers.h"
#include "move/convergence.h"
#include "move/link_keeper.h"
#include "move/move_work.h"
#include "move/pass_book.h"
#include "move/peer_messages.h"
#include "move/progress.h"
#include "move/space_watch.h"

namespace drover::move {

class FrozenDisk;

class LiveMove final : public MoveWork {
 public:
  LiveMove(World& world, SourceJob job, MoveListener changed);
  ~LiveMove() override;

  void run(std::stop_token stop) override;
  void resume(std::stop_token stop) override;

  bool undo_at_destination() override;
  void admitted() override { admitted_ = true; }
  bool waits_again() const override { return waits_again_; }
  Status resolve(const Resolution& resolution) override;
  Status cancel() override;  // kConflict once the switch has begun
  // kConflict: too late, or libvirt takes no such word any more.
  Status converge(const Convergence& policy) override;
  void guest_stopped() override { stands_still_ = true; }
  Move snapshot() const override;

 private:
  struct Step {
    Phase phase;
    StepResult (LiveMove::*act)();
  };
  static const std::vector<Step>& steps();
  void run_from(Phase first);
  StepResult begin(const Step& step);
  void undo_after_restart(std::string_view when);
  void end(const StepResult& result);
  bool try_again(const Error& error);

  // The phases, in order (live_move_phases.cpp; of files live_move_items.cpp).
  StepResult plan();
  StepResult admit();
  StepResult read_files();
  StepResult reserve();
  StepResult prepare();
  StepResult copy();
  StepResult settle_switch();
  StepResult verify();
  StepResult prove();
  StepResult settle();
  StepResult undefine_here();

  // Parts of prepare(), copy() and undo() (live_move_items.cpp).
  StepResult compare_files();
  StepResult forget_checkpoints();
  bool know_checkpoints();

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
  void keep_space();
  void halt_disks(const SpaceReply& space);
  void release_disks();
  Status hold_for_the_window();
  void keep_window();
  bool may_copy_memory(std::chrono::system_clock::time_point now);
  std::chrono::seconds memory_takes() const;
  void memory_waits();
  void rest();
  bool take_place_again();
  void tell_hold(std::optional<Finding> finding);
  bool job_is_over();
  bool record_is_final() const;
  void write_report(const VerifyReply& reply);

  // Parts of prove() (live_move_proof.cpp).
  StepResult compare_disk(const DiskPlacement& placement, Proof& proof);
  StepResult read_back_part(FrozenDisk& disk, ProveRequest request, Proof& proof,
                            ByteCount& excluded);
  StepResult keep_everything(const std::string& difference);
  void stop_the_watch();
  std::expected<Result<ProveReply>, StepFailure> ask_for_proof(const ProveRequest& request);

  // Its links and its bandwidth (live_move_road.cpp).
  Status first_link();
  void keep_links();
  Status use(DialledLink dialled);
  std::size_t path_count() const;
  Result<std::vector<LinkPath>> paths() const;
  unsigned links_wanted() const;
  void keep_bandwidth();
  RoadOptions road_options() const;
  std::vector<NetworkTraffic> network_traffic() const;

  // Who runs the VM (live_move_switch.cpp).
  enum class Outcome { kSource, kDestination, kLost };
  static Outcome outcome_of(const Answer& answer);
  StepResult settle_doubt_at_the_gate();
  std::expected<std::optional<Answer>, StepFailure> find_truth();
  Result<Answer> ask_destination(std::string_view verb, std::chrono::milliseconds limit);
  void end_if_given_up();
  void tell_gate(const Answer& answer);
  bool gate_never_switches();
  void tell_doubt(const std::string& cause);
  StepResult park_lost(const Answer& answer);

  // An administrator's word (live_move_resolve.cpp).
  bool take_resolution();
  bool destination_is_lost(const Error& silence);
  bool withdraw_word();
  StepResult give_up_destination();

  StepResult source_keeps_it(std::string_view why);
  StepResult destination_has_it();

  // The way back (live_move_undo.cpp). Safe to run twice. False: droverd stops in between, the next
  // one goes on.
  bool undo();
  bool tell_left();
  void stop_carriers();
  bool take_back_the_guest();
  void lift_fence();
  void announce();

  void entering(Move& move, Phase phase) override;
  void begin_health(Move& move, std::chrono::seconds watch) const;
  StepResult interrupted() const;
  gate::RecordKey record_key() const { return {uuid(), job_.move.epoch}; }
  CarrierName carrier_name() const {
    return {job_.move.epoch, job_.move.epoch, job_.move.plan.vm.name, uuid()};
  }

  // libvirt's call, on its own thread.
  struct MigrateOutcome {
    std::mutex mutex;  // guards both
    bool over = false;
    std::optional<Error> error;
  };

  std::atomic<bool> waits_again_{false};
  std::atomic<bool> stands_still_{false};  // the guest, for the switch
  bool admitted_ = false;                  // the destination holds a place for it
  LinkSecret secret_;
  std::unique_ptr<Carriers> carriers_;
  std::optional<gate::Fence>
      fence_;  // droverd's own copies of the descriptors; QEMU and the gate hold others
  std::optional<ProgressMeter> meter_;
  std::optional<PassBook> passes_;
  std::optional<ConvergenceWatch> convergence_;
  std::optional<Convergence> policy_asked_;     // by converge(), not taken yet; guarded by mutex_
  std::optional<Resolution> resolution_asked_;  // by resolve(), not taken yet; likewise
  bool destination_given_up_ = false;           // as an administrator said
  bool slowing_settled_ = false;                // libvirt has been told, or not; guarded by mutex_
  bool stood_still_ = false;  // the guest did, for the switch: nothing is judged any more
  std::chrono::milliseconds downtime_told_{0};  // to libvirt; 0: not known
  Deadline next_downtime_ = Deadline::after(std::chrono::milliseconds(0));
  std::optional<Error> given_up_;             // as the policy says
  std::optional<SpaceWatch> space_;           // while disks and memory are copied
  std::optional<Deadline> disks_held_until_;  // there is no room; then it gives up
  Deadline next_hold_ = Deadline::after(std::chrono::milliseconds(0));  // is to be said again
  bool memory_held_ = false;                                            // for the window
  bool memory_hold_unsure_ = true;  // the mover may not have heard; nor do we know
  bool memory_begun_ = false;       // it was let pass before: only its rest waits
  bool in_sync_ = false;            // its disks are, or are shared: only memory is left
  bool rests_ = false;              // until its window opens: it has no place on either host
  Deadline next_window_look_ = Deadline::after(std::chrono::milliseconds(0));
  Deadline next_place_ = Deadline::after(std::chrono::milliseconds(0));  // asked for, or given back
  std::map<std::string, std::string> digests_;  // of files that disks stand on, by path there
  BytesPerSecond best_rate_;                    // that its disks had
  std::string told_hold_;                       // the code of what people were last told
  std::optional<Error>
      road_error_;  // the first thing that went wrong on the road: better than libvirt's last words
  std::optional<Error>
      carrier_error_;  // our own process died: what libvirt says of it is only a consequence
  std::optional<Error> migrate_error_;
  std::shared_ptr<MigrateOutcome> migrate_call_;
  std::unique_ptr<BeforeSampler> sampler_;  // while it is copied
  std::optional<LinkKeeper> keeper_;        // from the first link on
  unsigned links_added_ = 0;  // on each path, since one was too slow for the processor
  bool gate_ended_ = false;   // it said its last word
  bool in_doubt_ = false;
  std::optional<Deadline> answer_due_;        // of FINISH; later, we look there ourselves
  std::string told_doubt_;                    // what people were last told of a doubt
  std::optional<Bandwidth::Part> bandwidth_;  // from the source's carriers on
  BytesPerSecond bandwidth_told_;             // to the mover
  bool bandwidth_unsure_ = true;  // it may not have heard; true also after a restart of droverd
  WireCount wire_;                // as last seen: the mover may end before the report is written
  Deadline next_sample_ = Deadline::after(std::chrono::milliseconds(0));
  Deadline next_look_ = Deadline::after(std::chrono::milliseconds(0));
};

}  // namespace drover::move
