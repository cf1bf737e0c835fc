// SPDX-License-Identifier: Apache-2.0
// A storage move: disks of one VM, running or off, to other places on its own host (docs/moves.md).
// storage_move.cpp is the main flow, one page; the copying stands in storage_copy.cpp, the switch
// and what proves it in storage_switch.cpp, the way back in storage_undo.cpp.
//
// While the VM runs, its QEMU mirrors the disks and goes on with that when droverd dies; while it
// is off, droverd copies them byte by byte (or qemu-img, what a disk stands on being made part of
// it), and a lock on each image keeps the VM from being started meanwhile. What a disk is built on
// is copied first, byte by byte (storage_layers.cpp). Which image is a disk's is decided by the
// VM's definitions alone.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <span>
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

  Status cancel() override;  // kConflict once the switch has begun

 private:
  static const std::vector<Step<StorageMove>>& steps();
  void run_from(Phase first) override { take(*this, steps(), first); }
  void go_on(Phase reached) override;
  bool is_undone_at(Phase phase) const override { return phase < Phase::kSwitch; }
  bool takes_cancel() const override { return job_.switched.empty(); }
  void end(const StepResult& result) override;

  // The phases, in order.
  StepResult plan();
  StepResult admit();
  StepResult prepare();
  StepResult copy();
  StepResult switch_over();
  StepResult verify();
  StepResult settle();

  // Parts of prepare() and copy() (storage_copy.cpp).
  Status make_images();
  Status make_image(const std::string& target, const DiskPlacement& image,
                    std::span<const std::string> folders, const FilePlacement* below);
  Status make_volume(const DiskPlacement& placement);
  StepResult mirror(const DiskPlacement& placement);
  StepResult follow_mirror(const DiskPlacement& placement);
  Status fill(const DiskPlacement& placement);
  StepResult convert(const DiskPlacement& placement);
  StepResult copy_image(const DiskPlacement& placement);
  bool is_copied_whole(const DiskPlacement& placement) const;
  Error copy_lost(const DiskPlacement& placement);
  // `part` of what lands there, and all that is copied before it, is done.
  void show_progress(const std::string& destination_path, double part);

  // What disks are built on, and checkpoints (storage_layers.cpp).
  Status make_layers(std::span<const std::string> folders);
  StepResult copy_layers();
  Status check_layers(const DiskPlacement& placement);
  StepResult copy_bytes(const KnownFile& from, const KnownFile& to, const FilePlacement* below,
                        ByteCount expected);
  std::string name_below(const std::string& image, const std::string& copy,
                         const FilePlacement& below) const;
  bool tell_checkpoints();
  bool is_left(const KnownFile& layer);

  // Parts of switch_over() and verify() (storage_switch.cpp).
  enum class Outcome { kMoved, kStayed, kUnclear };
  StepResult switch_disk(const DiskPlacement& placement);
  StepResult redefine();
  Status redefine_memory();
  Result<Outcome> outcome_of(const DiskPlacement& placement);
  Status write_into_persistent(const std::vector<DiskPlacement>& moved);
  Status sync_new_images();
  void hold_deleted(const SourceJob& moved);
  void write_report();

  // The way back (storage_undo.cpp). Safe to run twice. False: droverd stops in between, the next
  // one goes on.
  bool undo();
  bool another_follows(const Error& error);
  bool end_mirror(const DiskPlacement& placement);
  bool put_memory_back();
  Result<bool> is_in_memory(const std::string& path);
  bool remove_created();
  Result<bool> is_used(const std::string& path);

  // The VM was running, or paused, when the plan was made, and has to be so still.
  bool by_qemu() const { return job_.move.plan.vm.state != VmState::kOff; }
  bool has_moved(const DiskPlacement& placement) const;
  const KnownFile* created(const std::string& target) const;
  const KnownFile* former(const std::string& target) const;

  std::optional<gate::Fence> fence_;  // only while the VM is off
  std::vector<ImageStamp> volumes_;   // likewise, on which no lock is seen: as they were then
  std::vector<std::string> moved_;    // disks proven to be in their new place
  std::optional<Error> switch_error_;
  std::vector<UniqueFd> deleted_;  // keep the room of images that have no name any more
  bool rehearsed_ = false;         // it came as far as a rehearsal goes
  std::chrono::steady_clock::time_point copying_since_;
  std::chrono::steady_clock::time_point shown_at_;
};

}  // namespace drover::move
