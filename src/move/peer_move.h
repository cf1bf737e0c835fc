// SPDX-License-Identifier: Apache-2.0
// A move to another host, of whatever kind: its reservation there, the road, the proof, the
// destination's word on who has the VM, and what is told to it afterwards. The kinds: live_move.h,
// cold_move.h. peer_move.cpp has the beginning, the undo there and the end; peer_move_road.cpp the
// links, peer_move_proof.cpp the proof, peer_move_truth.cpp who has the VM, peer_move_resolve.cpp
// an administrator's word on it. All is called by the move's own thread, but for what MoveWork
// says.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "move/carriers.h"
#include "move/link_keeper.h"
#include "move/move_work.h"
#include "move/peer_messages.h"

namespace drover::move {

class FrozenDisk;

class PeerMove : public MoveWork {
 public:
  ~PeerMove() override;

  bool undo_at_destination() override;
  void admitted() override { admitted_ = true; }
  bool waits_again() const override { return waits_again_; }
  Status resolve(const Resolution& resolution) override;

 protected:
  PeerMove(World& world, SourceJob job, MoveListener changed);

  // The first phases.
  StepResult plan();
  StepResult admit();
  StepResult reserve();
  // Puts the former disks aside, and tells the destination that the move is over. `kept` is for
  // people, if the disks cannot be put aside: where the VM is.
  StepResult let_go(const std::string& kept);

  // The attempt failed with this error and was undone: does another follow? Then it waits again.
  bool try_again(const Error& error);
  bool tell_left();

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
  // No link is up at the moment.
  virtual void links_are_down() = 0;

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
  void tell_doubt(const std::string& cause);
  StepResult park_lost(const Answer& answer);

  // An administrator's word (peer_move_resolve.cpp).
  bool take_resolution();
  bool destination_is_lost(const Error& silence);
  bool withdraw_word();
  StepResult give_up_destination();

  // A cancel that still counts, or droverd's stop.
  virtual StepResult interrupted() const = 0;
  gate::RecordKey record_key() const { return {uuid(), job_.move.epoch}; }
  CarrierName carrier_name() const {
    return {job_.move.epoch, job_.move.epoch, job_.move.plan.vm.name, uuid()};
  }

  std::atomic<bool> waits_again_{false};
  bool admitted_ = false;  // the destination holds a place for it
  LinkSecret secret_;
  std::unique_ptr<Carriers> carriers_;
  std::optional<Resolution> resolution_asked_;  // by resolve(), not taken yet; guarded by mutex_
  bool destination_given_up_ = false;           // as an administrator said
  std::string told_doubt_;                      // what people were last told of a doubt
  std::optional<LinkKeeper> keeper_;            // from the first link on
  unsigned links_added_ = 0;  // on each path, since one was too slow for the processor
  std::optional<Bandwidth::Part> bandwidth_;  // from the source's carriers on
  BytesPerSecond bandwidth_told_;             // to the mover
  bool bandwidth_unsure_ = true;  // it may not have heard; true also after a restart of droverd
  WireCount wire_;                // as last seen: the mover may end before the report is written
  Deadline next_look_ = Deadline::after(std::chrono::milliseconds(0));
};

}  // namespace drover::move
