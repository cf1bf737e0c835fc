// SPDX-License-Identifier: Apache-2.0
// A move to another host without libvirt's migration: of a VM that is off (offline), or of one that
// is saved here, carried and restored there (quick); docs/moves.md. cold_move.cpp is the main flow,
// one page; the copying stands in cold_copy.cpp, by QEMU in cold_mirrors.cpp, of files as they are
// in cold_items.cpp, the saved guest in cold_state.cpp, one that was saved before in
// cold_saved.cpp, the handing over and what follows in cold_switch.cpp, the way back in
// cold_undo.cpp.
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
#include "move/cold/cold_files.h"
#include "move/file_sender.h"
#include "move/live/disk_mirror.h"
#include "move/peer_move.h"

namespace drover::move {

class ColdMove final : public PeerMove {
 public:
  ColdMove(World& world, SourceJob job, MoveListener changed);
  ~ColdMove() override;

  Status cancel() override;  // kConflict once the switch has begun

 private:
  static const std::vector<Step<ColdMove>>& steps();
  void run_from(Phase first) override { take(*this, steps(), first); }
  void go_on(Phase reached) override;
  // After the destination was asked it may have the VM.
  bool is_undone_at(Phase) const override { return !job_.migrate_called; }
  bool takes_cancel() const override { return !job_.undefined; }
  void end(const StepResult& result) override;

  // The phases, in order.
  StepResult look();
  StepResult prepare();
  StepResult copy_disks();
  StepResult copy_state();
  StepResult hand_over();
  StepResult settle();
  void end_road();  // both ways; safe to run twice

  // Parts of the copying (cold_copy.cpp).
  Status open_source_files();
  StepResult empty_drives_for_good();
  StepResult send_disks();
  void count_copied(Progress& progress) const override;
  std::optional<Error> keep_space() override;

  // Disks that QEMU copies (cold_mirrors.cpp). end_all_mirrors(): of the undo, after the guest goes
  // on; kLeave: droverd stops in between.
  StepResult mirror_disks();
  StepResult mirrors_ready();
  Error mirror_lost(Error cause, const std::string& target);
  Status try_to_end_mirrors();
  StepResult end_all_mirrors();
  std::string mirrors_wait(const Error& cause) const;
  std::string mirrors_stay(const Error& cause) const;

  // Files that travel as they are (cold_items.cpp).
  StepResult check_layers();
  std::vector<ColdFile> files() const;
  StepResult send_part(const ColdFile& file, UniqueFd opened, FileSender::Part part,
                       const std::function<bool()>& grows_no_more = {});
  StepResult send_whole(ColdFile::Kind kind);
  Status open_tpm_state();
  Result<UniqueFd> open_to_send(const ColdFile& file) const;
  ByteCount files_taken() const;

  // Memory that is kept of a VM that is off (cold_saved.cpp).
  std::string saved_path() const;
  std::string saved_aside_path() const;
  const KnownFile* saved_file() const;  // nullptr: it has none
  Status open_saved();
  StepResult send_saved();
  StepResult send_saved_part(ColdFile::Kind kind, FileSender::Part part);
  Status stamp_saved_disks();
  Status put_saved_aside();
  Result<std::string> written_since_aside() const;
  StepResult give_saved_back(const RunState& state);
  void tell_saved(const std::string& what);
  StepResult park_saved_aside(Error error, const std::string& why);
  void drop_saved();

  // The guest's memory (cold_state.cpp).
  struct SaveOutcome {
    std::mutex mutex;  // guards both
    bool over = false;
    std::optional<Error> error;
  };
  StepResult stand_still();
  void call_save();
  bool save_is_over();
  StepResult send_state();
  StepResult await_head(std::uint64_t& bytes);
  StepResult send_state_part(ColdFile::Kind kind, FileSender::Part part);
  StepResult save_ended();
  StepResult check_saved();

  // Who has the VM (cold_switch.cpp).
  StepResult take_from_libvirt();
  Result<std::string> ask_to_arrive();
  StepResult find_who_has_it();
  StepResult source_keeps_it(std::string_view why);
  StepResult destination_has_it();
  StepResult disks_differ(const std::string& difference) override;
  void add_to_report(const VerifyReply& reply, Move& move) override;
  std::string not_there(const std::string& why) const override;
  std::string in_doubt(const std::string& cause) const override;
  std::string taken_back() const override;

  // The way back (cold_undo.cpp). Safe to run twice. kLeave: droverd stops in between, the next one
  // goes on; kPark: the guest could not be restored.
  StepResult undo();
  StepResult define_again();
  StepResult end_save();
  StepResult take_back_the_guest();
  std::expected<bool, StepFailure> take_back_from(const RunState& state,
                                                  std::optional<Error>& last);
  StepResult restore_here();
  void note_if_started(const RunState& state);
  std::string written_unseen() const;
  StepResult park_saved(Error error);
  StepResult park_written(const std::string& image);
  StepResult park_unseen(const std::string& why);
  StepResult park_not_back(const RunState& state, const std::optional<Error>& last);
  void remove_state();
  void tell_wait(const std::string& what);
  void wait_is_over();
  StepResult leave_waiting();
  std::string waits_for_libvirt(const Error& cause) const;
  std::string where_it_is() const;
  bool is_off_here() const;

  bool quick() const { return job_.move.plan.kind == MoveKind::kQuick; }
  std::string state_path() const { return world_.carriage.state_file(carrier_name()).string(); }

  // Offline: from the beginning, quick: from the standstill, both to the end of libvirt's
  // definition. It ends with droverd: then the move is undone, and who wrote meanwhile is seen.
  std::optional<gate::Fence> fence_;
  std::vector<DiskMirror> mirrors_;  // of copied disks, all or none
  std::shared_ptr<SaveOutcome> save_;
  bool rehearsed_ = false;       // it came as far as a rehearsal goes
  bool started_since_ = false;   // seen running although its memory was saved
  bool put_aside_here_ = false;  // its kept memory, by this droverd
  ByteCount saved_length_;       // of its kept memory, as it is sent
  std::vector<ArriveRequest::File> sent_files_;
  ByteCount files_sent_;                                  // of those that send_whole() sent
  bool sends_whole_ = false;                              // it sends one now
  std::optional<std::chrono::milliseconds> stood_still_;  // the guest
  std::chrono::steady_clock::time_point copying_since_{}, stands_since_{};
  std::optional<std::chrono::steady_clock::time_point> waits_since_;  // for libvirt, in the undo
  std::optional<std::string> before_wait_;  // what people were told before they were told of it
};

}  // namespace drover::move
