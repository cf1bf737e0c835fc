// SPDX-License-Identifier: Apache-2.0
// A move to another host without libvirt's migration: of a VM that is off (offline), or of one that
// is saved here, carried and restored there (quick); docs/moves.md. cold_move.cpp is the main flow,
// one page; the copying stands in cold_copy.cpp, the saved guest in cold_state.cpp, the handing
// over and what follows in cold_switch.cpp, the way back in cold_undo.cpp.
//
// The records, the reservation and the destination's word are those of a live move. Instead of the
// fence within a QEMU: nothing runs here from the copy on, a lock on each image keeps the VM from
// being started, and before the destination may take it libvirt here does not know it any more.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "gate/fence.h"
#include "hypervisor/image_sender.h"
#include "move/disk_mirror.h"
#include "move/file_sender.h"
#include "move/peer_move.h"

namespace drover::move {

class ColdMove final : public PeerMove {
 public:
  ColdMove(World& world, SourceJob job, MoveListener changed);
  ~ColdMove() override;

  void run(std::stop_token stop) override;
  void resume(std::stop_token stop) override;
  Status cancel() override;  // kConflict once the switch has begun

 private:
  struct Step {
    Phase phase;
    StepResult (ColdMove::*act)();
  };
  static const std::vector<Step>& steps();
  void run_from(Phase first);
  StepResult begin(Phase phase);
  void end(const StepResult& result);
  void undo_after_restart();
  StepResult interrupted() const override;

  // The phases, in order.
  StepResult look();
  StepResult prepare();
  StepResult copy_disks();
  StepResult copy_state();
  StepResult hand_over();
  StepResult verify();
  StepResult settle();

  // Parts of the copying (cold_copy.cpp).
  Status open_source_files();
  Status fence_images();
  Status start_road();
  StepResult mirror_disks();
  StepResult mirrors_ready();
  StepResult send_disks();
  StepResult follow(const std::function<bool()>& ended);
  void show_progress();
  Error road_error(Error otherwise);
  StepResult send_nvram();
  void links_are_down() override;

  // The guest's memory (cold_state.cpp).
  struct SaveOutcome {
    std::mutex mutex;  // guards both
    bool over = false;
    std::optional<Error> error;
  };
  Status check_room_for_state() const;
  StepResult stand_still();
  void call_save();
  bool save_is_over();
  StepResult send_state();
  StepResult await_head(std::uint64_t& bytes);
  StepResult send_part(std::string_view item, const std::string& path, FileSender::Part part,
                       const std::function<bool()>& no_longer_grows);
  StepResult save_ended();

  // Who has the VM (cold_switch.cpp).
  StepResult take_from_libvirt();
  Result<std::string> ask_to_arrive();
  StepResult find_who_has_it();
  StepResult source_keeps_it(std::string_view why);
  StepResult destination_has_it();
  StepResult disks_differ(const std::string& difference) override;
  void write_report(const VerifyReply& reply);

  // The way back (cold_undo.cpp). Safe to run twice. kLeave: droverd stops in between, the next one
  // goes on; kPark: the guest could not be restored.
  StepResult undo();
  Status define_again();
  StepResult take_back_the_guest();
  StepResult end_save();
  void remove_state();

  bool quick() const { return job_.move.plan.kind == MoveKind::kQuick; }
  std::string state_path() const { return world_.carriage.state_file(carrier_name()).string(); }

  std::optional<gate::Fence> fence_;  // from the standstill to the end of libvirt's definition
  std::vector<DiskMirror> mirrors_;   // of copied disks, all or none
  std::shared_ptr<SaveOutcome> save_;
  std::vector<ArriveRequest::File> sent_files_;
  std::uint64_t state_sent_ = 0;   // bytes of all files so far, as our mover took them
  std::optional<Error> given_up_;  // what went wrong first
  std::optional<std::chrono::milliseconds> stood_still_;  // the guest
  std::chrono::steady_clock::time_point copying_since_{}, stands_since_{}, shown_at_{};
};

}  // namespace drover::move
