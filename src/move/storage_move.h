// SPDX-License-Identifier: Apache-2.0
// A storage move: disks of one VM, running or off, to other places on its own host (docs/moves.md).
// storage_move.cpp is the main flow, one page; the copying stands in storage_copy.cpp, the switch
// and what proves it in storage_switch.cpp, the way back in storage_undo.cpp.
//
// While the VM runs, its QEMU mirrors the disks and goes on with that when droverd dies; while it
// is off, qemu-img copies them and ends with droverd, and a lock on each image keeps the VM from
// being started meanwhile. Which image is a disk's is decided by the VM's definitions alone.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "gate/fence.h"
#include "hypervisor/image_copy.h"
#include "move/move_work.h"

namespace drover::move {

class StorageMove final : public MoveWork {
 public:
  StorageMove(World& world, SourceJob job, MoveListener changed);
  ~StorageMove() override;

  void run(std::stop_token stop) override;
  void resume(std::stop_token stop) override;
  Status cancel() override;  // kConflict once the switch has begun
  bool waits_again() const override { return waits_again_; }

 private:
  struct Step {
    Phase phase;
    StepResult (StorageMove::*act)();
  };
  static const std::vector<Step>& steps();
  void run_from(Phase first);
  StepResult begin(Phase phase);
  void end(const StepResult& result);
  StepResult interrupted() const;

  // The phases, in order.
  StepResult plan();
  StepResult admit();
  StepResult prepare();
  StepResult copy();
  StepResult switch_over();
  StepResult verify();
  StepResult settle();

  // Parts of prepare() and copy() (storage_copy.cpp).
  Status fence_images();
  Status make_images();
  StepResult mirror(const DiskPlacement& placement);
  StepResult follow_mirror(const DiskPlacement& placement);
  StepResult convert(const DiskPlacement& placement);
  Error copy_lost(const DiskPlacement& placement);
  void show_progress(const DiskPlacement& placement, double part);

  // Parts of switch_over() and verify() (storage_switch.cpp).
  enum class Outcome { kMoved, kStayed, kUnclear };
  StepResult switch_disk(const DiskPlacement& placement);
  StepResult redefine();
  Result<Outcome> outcome_of(const DiskPlacement& placement);
  Status write_into_persistent(const std::vector<DiskPlacement>& moved);
  Status sync_new_images();
  void write_report();

  // The way back (storage_undo.cpp). Safe to run twice. False: droverd stops in between, the next
  // one goes on.
  bool undo();
  bool try_again(const Error& error);
  bool end_mirror(const DiskPlacement& placement);
  bool remove_created();
  Result<bool> is_used(const std::string& path);

  // The VM was running, or paused, when the plan was made, and has to be so still.
  bool by_qemu() const { return job_.move.plan.vm.state != VmState::kOff; }
  bool has_moved(const DiskPlacement& placement) const;
  const KnownFile* created(const std::string& target) const;
  const KnownFile* former(const std::string& target) const;

  std::atomic<bool> waits_again_{false};
  std::optional<gate::Fence> fence_;  // only while the VM is off
  std::vector<std::string> moved_;    // disks proven to be in their new place
  std::optional<Error> switch_error_;
  bool rehearsed_ = false;  // it came as far as a rehearsal goes
  std::chrono::steady_clock::time_point copying_since_;
  std::chrono::steady_clock::time_point shown_at_;
};

}  // namespace drover::move
