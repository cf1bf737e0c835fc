// SPDX-License-Identifier: Apache-2.0
// A move to another host, of whatever kind: its reservation there, the road, the proof, the
// destination's word on who has the VM, and what is told to it afterwards. The kinds: live_move.h,
// cold_move.h. peer_move.cpp has the beginning, the undo there and the end; peer_move_road.cpp the
// links, peer_move_checkpoints.cpp checkpoints, peer_move_proof.cpp the proof, peer_move_truth.cpp
// who has the VM, peer_move_resolve.cpp an administrator's word on it, peer_move_media.cpp what was
// in its drives, peer_move_teaming.cpp its cards, peer_move_space.cpp the wait for room there,
// peer_move_streams.cpp files that are sent as they are. The move's own thread calls all, but see
// MoveWork.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hypervisor/teaming.h"
#include "move/carriers.h"
#include "move/file_sender.h"
#include "move/link_keeper.h"
#include "move/move_work.h"
#include "move/peer_messages.h"
#include "move/space_watch.h"

namespace drover::move {

class FrozenDisk;
struct ColdFile;

// The plan says that the destination holds some of it already, and that this need not travel.
bool is_spared_by_plan(const Plan& plan);

class PeerMove : public MoveWork {
 public:
  ~PeerMove() override;

  bool undo_at_destination() override;
  void admitted() override { admitted_ = true; }
  Status resolve(const Resolution& resolution) override;

 protected:
  PeerMove(World& world, SourceJob job, MoveListener changed);

  // The first phases.
  StepResult plan();
  StepResult admit();
  StepResult reserve();
  // The destination makes what the copy needs. `what` is for people: "web01".
  StepResult ask_to_prepare(std::string_view verb, const std::string& what);
  // Until the move is over nothing may start the VM by itself here. Written down before.
  StepResult clear_autostart();
  void restore_autostart();
  // Files that disks stand on and that the destination has: read before anything is reserved there,
  // compared before anything is prepared (peer_move_files.cpp).
  StepResult read_files();
  StepResult compare_files();
  StepResult compare_file(const std::string& path, const std::string& digest);
  // To be read: the very file that the plan saw. kConflict: another lies there by now.
  Result<UniqueFd> open_layer(const std::string& path) const;
  // The destination proves that it has the VM and that everything is on stable storage.
  StepResult verify();
  void write_report(const VerifyReply& reply);
  // What the kind of move knows beside the road; under the lock that guards `move`.
  virtual void add_to_report(const VerifyReply& reply, Move& move) = 0;
  // For people: the destination has it no more.
  virtual std::string not_there(const std::string& why) const = 0;
  // Likewise: whether the destination has it is not known, for this cause.
  virtual std::string in_doubt(const std::string& cause) const;
  // Likewise: how it is here now that it was taken back without its destination.
  virtual std::string taken_back() const;
  // Puts the former disks aside, and tells the destination that the move is over. `kept` is for
  // people, if the disks cannot be put aside: where the VM is.
  StepResult let_go(const std::string& kept);

  // Discs that stay here (peer_move_media.cpp). REQUIRES: the guest runs, or stands still.
  StepResult empty_drives();
  bool fill_drives();
  Status insert(const KnownFile& disc);
  void forget_disc(const std::string& target);
  Result<std::vector<Disk>> disks_of_next_boot(const Vm& vm);
  // Network cards of this host that the guest can live without (peer_move_teaming.cpp), likewise.
  StepResult unplug_teamed();
  bool plug_teamed();
  std::optional<Status> plug_again(const TeamedDevice& device);
  Result<bool> may_still_go(const TeamedDevice& device) const;
  std::vector<std::string> unplugged_cards() const;  // labels
  // Of both (peer_move_put_back.cpp). `put` may be asked often. Nothing: droverd stops in between.
  std::optional<Status> put_back(const std::string& what, const std::function<Status()>& put);
  void tell_away(const std::string& what, const Error& why);
  void tell_not_back(const std::string& what);
  // Instead, of a move that is parked: what is out is told, for a person decides whether, and from
  // which memory, the guest goes on. A resolved move puts it back.
  void tell_still_out();

  // What droverd had begun `when` it was restarted is not worth going on with. The guest never ran
  // at the destination and never will by this move.
  void undo_after_restart(std::string_view when);
  // As try_again().
  bool another_follows(const Error& error);
  bool tell_left();

  // The VM's checkpoints (peer_move_checkpoints.cpp). know_checkpoints(): as if it never moved; it
  // may run twice. False: droverd stops in between.
  StepResult check_checkpoints_known() const;
  StepResult forget_checkpoints();
  bool know_checkpoints();
  void tell_unknown(const std::string& before, const std::string& why);

  // The road (peer_move_road.cpp).
  Status first_link();
  void keep_links();
  Status use(DialledLink dialled);
  std::size_t path_count() const;
  Result<std::vector<LinkPath>> paths() const;
  unsigned links_wanted() const;
  void keep_bandwidth();
  RoadOptions road_options() const;
  std::vector<NetworkTraffic> network_traffic() const;
  // No link is up at the moment. On a plain road the other side may have given the move up.
  virtual void links_are_down();
  void remember(Error error);  // road_error_, if it is the first

  // A road without gates, which ends with droverd (peer_move_streams.cpp). On it go files, each as
  // a stream of memory, in the order of missing_layers() or cold_files(), and disks that no libvirt
  // sends.
  Status open_plain_road();
  Status close_plain_road();  // wire_ keeps what went over it
  // This part of the file, as the next stream, until the other side has written all of it. Links
  // are kept up, room is watched, progress shown and a cancel looked for meanwhile. `grows_no_more`
  // is asked often of a part without an end; none: it does not grow. Its SHA-256; empty: it was not
  // asked for. REQUIRES: a plain road.
  std::expected<std::string, StepFailure> send_file(
      const ColdFile& file, UniqueFd opened, FileSender::Part part,
      const std::function<bool()>& grows_no_more = {});
  // Likewise whatever else goes over it, until it has `ended`, which is asked often.
  StepResult follow(const std::function<bool()>& ended);
  StepResult follow_a_moment();
  void take_road_event(const CarrierEvent& event);
  // Of what could not be sent: the first thing that went wrong on the road, if there is one.
  Error road_error_or(Error otherwise);
  // Asks the destination. One that has given the move up is an error of the road; what it gives
  // back it cannot write any more.
  std::optional<Error> look_there();
  // Of wire_, for people, a few times a second; under the lock that guards `move`.
  virtual void count_copied(Progress& progress) const = 0;

  // Room there (peer_move_space.cpp). keep_room(): asked often while it copies, once the carriers
  // are there; an error: the move is to be given up for want of it.
  enum class RoomWait {
    kPossible,  // what is sent is held up until there is room again
    kTooLate,   // nothing may be held up any more: with a quarter of the reserve left it is over
  };
  std::optional<Error> keep_room(RoomWait wait);
  // keep_room() as it suits what the kind of move copies just now.
  virtual std::optional<Error> keep_space() = 0;
  void release_disks();
  void end_space_watch();
  void forget_room();
  // Of all that is copied, what lands on disks; 0: it goes on.
  Status hold_copy(std::chrono::milliseconds span);
  void tell_hold(std::optional<Finding> finding);
  static constexpr std::string_view kSpaceAwaited = "SPACE_AWAITED";

  // The proof (peer_move_proof.cpp). REQUIRES: nobody writes the source's disks.
  StepResult prove();
  StepResult compare_disk(const DiskPlacement& placement, Proof& proof);
  StepResult read_back_part(FrozenDisk& disk, ProveRequest request, Proof& proof,
                            ByteCount& excluded);
  std::expected<Result<ProveReply>, StepFailure> ask_for_proof(const ProveRequest& request);
  // What a difference means for the move. Written into the report before.
  virtual StepResult disks_differ(const std::string& difference) = 0;

  // Who has the VM (peer_move_truth.cpp).
  enum class Outcome { kSource, kDestination, kLost };
  static Outcome outcome_of(const Answer& answer);
  std::expected<std::optional<Answer>, StepFailure> find_truth();
  Result<Answer> ask_destination(std::string_view verb, std::chrono::milliseconds limit);
  bool record_is_final() const;
  // It is proven that the destination never had it: our record and the journal say so, and then it
  // may be taken back. `nothing_was` is for people, if they cannot: "resumed".
  StepResult record_refusal(std::string_view nothing_was);
  void tell_doubt(const std::string& cause);
  StepResult park_lost(const Answer& answer);

  // An administrator's word (peer_move_resolve.cpp).
  bool take_resolution();
  bool destination_is_lost(const Error& silence);
  bool withdraw_word();
  StepResult give_up_destination();

  gate::RecordKey record_key() const { return {uuid(), job_.move.epoch}; }
  CarrierName carrier_name() const {
    return {job_.move.epoch, job_.move.epoch, job_.move.plan.vm.name, uuid()};
  }

  bool admitted_ = false;                       // the destination holds a place for it
  std::map<std::string, std::string> digests_;  // of files that disks stand on, by path there
  LinkSecret secret_;
  std::unique_ptr<Carriers> carriers_;
  std::optional<Resolution> resolution_asked_;  // by resolve(), not taken yet; guarded by mutex_
  bool destination_given_up_ = false;           // as an administrator said
  std::string told_doubt_;                      // what people were last told of a doubt
  // Cards (labels) that the guest may still let go; nothing: perhaps all that are written down.
  std::optional<std::set<std::string>> unplug_asked_;
  std::optional<LinkKeeper> keeper_;  // from the first link on
  unsigned links_added_ = 0;          // on each path, since one was too slow for the processor
  std::optional<Bandwidth::Part> bandwidth_;  // from the source's carriers on
  BytesPerSecond bandwidth_told_;             // to the mover
  BytesPerSecond bandwidth_most_;             // whatever its share is; 0: no such limit
  bool bandwidth_unsure_ = true;  // it may not have heard; true also after a restart of droverd
  std::string told_hold_;         // the code of what people were last told holds the copy up
  WireCount wire_;                // as last seen: the mover may end before the report is written
  bool plain_road_ = false;       // it has no gates
  std::uint64_t streamed_bytes_ = 0;  // of files, on a plain road
  std::optional<Error> road_error_;   // what went wrong first: it says more than what followed
  Deadline next_look_ = Deadline::after(std::chrono::milliseconds(0));

 private:
  StepResult await_applied(const ColdFile& file);
  Error send_failure(const ColdFile& file, const Error& seen_here);
  void show_copied();
  std::optional<Error> halt_disks(const SpaceReply& space);
  void tell_no_room(const SpaceReply& space);

  std::optional<SpaceWatch> space_;           // while it copies
  std::optional<Deadline> disks_held_until_;  // there is no room; then it gives up
  Deadline next_hold_ = Deadline::after(std::chrono::milliseconds(0));  // is to be said again
  Deadline next_show_ = Deadline::after(std::chrono::milliseconds(0));
};

}  // namespace drover::move
