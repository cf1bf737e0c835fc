// SPDX-License-Identifier: Apache-2.0
// What a peer that moves a VM to us may ask of us: the verbs of peer_messages.h, each safe to
// repeat. Any thread may call any function; one move is worked on by one thread at a time.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "content/written_disk.h"
#include "gate/definition_policy.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/image_server.h"
#include "hypervisor/tpm_state.h"
#include "move/destination/file_check.h"
#include "move/destination/file_sink.h"
#include "move/job.h"
#include "move/live/live_disks.h"
#include "move/peer_messages.h"
#include "move/world.h"
#include "net/peer_transport.h"

namespace drover::move {

// Of the unfinished copy of a move to this host that failed.
enum class KeepResidue { kOff, kDisks };

struct ColdFile;

class DestinationSide final : public net::PeerHandler {
 public:
  // `vms` gives this host's VMs for other hosts' lists; `keep`: what stays of moves that failed;
  // `tpm_folder`: where libvirt looks for the state of emulated TPMs.
  DestinationSide(World& world, std::function<std::vector<Vm>()> vms,
                  KeepResidue keep = KeepResidue::kOff, std::string tpm_folder = kTpmFolder);
  ~DestinationSide() override;

  // At start: finds the journal's open jobs again, with their gates and movers.
  Status recover();

  Result<std::string> handle(std::string_view peer_name, std::string_view verb,
                             std::string_view body) override;
  // A link arrived for a move; unknown moves' links are closed.
  void take_link(std::string_view move_id, std::uint16_t link_number, UniqueFd link);
  // How long a move may be reserved here without being prepared. Before any call.
  void reservations_last(std::chrono::milliseconds span) { lease_ = span; }
  // Of this droverd, for other hosts' doctors. Before any call.
  void has_version(std::string version) { version_ = std::move(version); }
  // droverd listens at this one address of ours: no other is offered to sources. Before any call.
  void listens_at(std::string address) { listens_at_ = std::move(address); }
  // Whether this host's settings let links come to that address of ours.
  bool admits(const std::string& local_address) const;
  // Lifecycle events of the hypervisor: whether a guest ever ran here is known only from them.
  void take_vm_event(const VmEvent& event);
  // Called every few seconds: cleans up moves whose gate ended with a recorded refusal.
  void sweep();

  struct Incoming {
    std::string move_id, vm_uuid, vm_name, peer;
  };
  std::vector<Incoming> incoming() const;
  // A move of ours brings this VM here, or did so a moment ago: its events are ours.
  bool concerns(std::string_view vm_uuid) const;

 private:
  static std::string place_of(std::string_view peer, std::string_view move_id) {
    return fmt::format("{}/{}", peer, move_id);
  }

  // One move to us. `working` is held for the whole of a verb; lock order: working, then
  // entries_mutex_.
  struct Entry {
    explicit Entry(DestinationJob found) : job(std::move(found)), vm_uuid(job.plan.vm.uuid) {}
    std::mutex working;  // guards all below, but for what says else
    DestinationJob job;
    const std::string vm_uuid;  // job.plan's; without `working`
    std::unique_ptr<Carriers> carriers;
    // Set from the hypervisor's events, without `working`: a verb may wait for the hypervisor.
    std::atomic<bool> resumed_seen = false;    // the guest ran here
    std::atomic<bool> stopped_seen = false;    // its QEMU ended here
    std::atomic<bool> watch_unbroken = false;  // we saw every lifecycle event since the
                                               // reservation, in order
    std::unique_ptr<ImageServer> server;       // of a move without gates: takes its disks in,
    std::shared_ptr<FileSink> sink;            // and its files; of a live one what goes ahead
    std::string refused_because;               // the hypervisor, when it never ran
    std::string waits_because;                 // the last thing that kept it from being taken in
    std::map<std::string, content::WrittenDisk> written;  // by target; read when first asked for
    std::unique_ptr<LiveDisks> live;                      // likewise
    std::unique_ptr<FileCheck> check;                     // of the file last asked for
    std::set<std::string> compared;                       // files that the source has as well
    Deadline lease = Deadline::never();                   // until it is prepared
    Deadline sweep_after = Deadline::never();
    // Events come later than what they tell of. Without `working`, as above.
    std::atomic<Deadline::Clock::time_point> concern_ends = Deadline::Clock::time_point::max();

    // Its place among the moves of this host: of another peer's move with this id it is not.
    std::string place() const { return place_of(job.peer, job.move_id); }
    gate::RecordKey key() const { return {job.plan.vm.uuid, job.epoch}; }
    CarrierName name() const {
      return {job.move_id, job.epoch, job.plan.vm.name, job.plan.vm.uuid};
    }
  };

  Result<std::string> preflight(std::string_view peer_name, std::string_view body);
  Result<std::string> admit(std::string_view peer_name, std::string_view body);
  Result<std::string> reserve(std::string_view peer_name, std::string_view body);
  Status await_layers(Entry& entry);
  Result<std::string> prepare(Entry& entry);
  Result<std::string> space(const Entry& entry);
  enum class WhoIsBusy { kIsAwaited, kIsLeftOut };
  // The file that a guest's memory comes into, and the most that it may have; 0: there is none.
  struct MemoryFile {
    std::filesystem::path path;
    ByteCount most;
  };
  MemoryFile memory_file(const Plan& plan, const CarrierName& name) const;
  // What of these disks and this memory has no room beside what other moves to this host were
  // promised.
  std::optional<Finding> space_short(const std::vector<DiskPlacement>& placements,
                                     const MemoryFile& memory, WhoIsBusy who_is_busy) const;
  Result<std::string> answer(Entry& entry);
  Result<std::string> look(Entry& entry);
  Result<std::string> arrive(Entry& entry, std::string_view body);
  Result<std::string> verify(Entry& entry);
  Result<std::string> prove(Entry& entry, std::string_view body);
  Result<std::string> unwatch(Entry& entry);
  Result<std::string> settle(Entry& entry, std::string_view body);
  Result<std::string> signs(Entry& entry, std::string_view body);
  Status undo(Entry& entry);
  Status abandon(Entry& entry);
  Status undefine_abandoned(Entry& entry);
  Status check_undo(Entry& entry);
  Status save(Entry& entry);

  Status check_reservation(std::string_view peer_name, const ReserveRequest& request);
  Result<content::WrittenDisk> read_written(Entry& entry, const DiskPlacement& placement);
  // destination_items.cpp
  enum class Layers { kComeAhead, kStay };  // of a live move, by what its source knows
  void look_at_items(const preflight::Proposal& proposal, Layers layers,
                     const HostSettings& settings, preflight::DestinationReport& report) const;
  void look_at_checkpoints(const preflight::Proposal& proposal, const HostSettings& settings,
                           preflight::DestinationReport& report) const;
  std::optional<std::string> coming_with(const std::string& path, const std::string& vm_uuid) const;
  Status check_items(const ReserveRequest& request, const std::vector<std::string>& folders,
                     const gate::Policy& policy) const;
  Status check_shared_file(const ReserveRequest& request, const FilePlacement& file,
                           const std::vector<std::string>& folders) const;
  Status compare_file(Entry& entry, std::string_view body);
  Status check_compared(const Entry& entry) const;
  std::string tell_checkpoints(Entry& entry);
  Status check_shared_disks(const ReserveRequest& request, const std::vector<std::string>& folders);
  // Discs in drives (destination_media.cpp).
  void look_at_media(const preflight::Proposal& proposal, const HostSettings& settings,
                     preflight::DestinationReport& report) const;
  void plug_teamed(const Entry& entry) const;
  // Disks that are opened over the network (destination_network_disks.cpp).
  void look_at_network_disks(const preflight::Proposal& proposal, const HostSettings& settings,
                             preflight::DestinationReport& report) const;
  Status check_network_disks(const ReserveRequest& request, const HostSettings& settings) const;
  Status check_network_disk(const ReserveRequest& request, const DiskPlacement& placement,
                            const HostSettings& settings) const;
  Result<ProveReply> compare_given(Entry& entry, const ProveRequest& request,
                                   const DiskPlacement& placement);
  Result<ProveReply> compare_read(Entry& entry, const ProveRequest& request,
                                  const DiskPlacement& placement);
  Result<ProveReply> read_and_compare(Entry& entry, const ProveRequest& request,
                                      const DiskPlacement& placement);
  Status open_live_disks(Entry& entry);
  void end_proof(Entry& entry);
  void let_held_guest_run(Entry& entry);
  static std::chrono::milliseconds held_by_gate(Entry& entry);
  Status check_named_disks(const ReserveRequest& request);
  Status check_networks(const Plan& plan, const HostSettings& settings) const;
  Status create_images(Entry& entry);
  // Volumes of pools of block devices (destination_volumes.cpp).
  Status check_volumes(const ReserveRequest& request) const;
  Status create_volume(Entry& entry, const DiskPlacement& placement);
  Status remove_volume(const Entry& entry, const KnownFile& file);
  std::vector<UniqueFd> open_created(const Entry& entry);
  std::vector<UniqueFd> held_files(const Entry& entry);
  Status start_carriers(Entry& entry);
  // Of a move without libvirt's migration (destination_cold.cpp).
  Status start_cold(Entry& entry);
  Status make_cold_files(Entry& entry, std::vector<FileSink::Slot>& slots);
  Result<FileSink::Slot> make_cold_file(Entry& entry, const std::string& item,
                                        const std::string& path, ByteCount most);
  Status take_delivered(Entry& entry, const ArriveRequest& request);
  // Memory that was kept of a VM that is off (destination_saved.cpp). made_at(): where a file of
  // DestinationJob::created lies until the move has come so far that it may lie at its path.
  static std::string made_at(const DestinationJob& job, const KnownFile& file);
  void look_at_saved(const preflight::Proposal& proposal,
                     preflight::DestinationReport& report) const;
  Status make_saved_file(Entry& entry, std::vector<FileSink::Slot>& slots);
  Status take_saved(Entry& entry, const ArriveRequest& request);
  Status place_saved(Entry& entry);
  Status put_saved_aside(Entry& entry);
  // destination_whole_files.cpp
  FileSink::KeepsFree keeps_free() const;
  Result<FileSink::Slot> make_whole_file(Entry& entry, const ColdFile& file);
  Result<FileSink::Slot> make_tpm_file(Entry& entry, const ColdFile& file);
  Status take_whole_files(Entry& entry, const ArriveRequest& request);
  Status begin_layers(Entry& entry);
  std::unexpected<Error> was_restarted(const Entry& entry) const;
  Status check_layer(const Entry& entry, const FileRequest& request) const;
  Status take_layers(Entry& entry);
  Result<bool> others_need(const Entry& entry, const std::string& path) const;
  Status take_tpm(Entry& entry, const ColdFile& file, const std::string& sha256);
  void go_on_with_arrival(Entry& entry);
  Status define_guest(Entry& entry);
  Status restore_guest(Entry& entry);
  static bool runs_here(const Entry& entry, const RunState& state);
  Status has_run(Entry& entry);
  Status give_back(Entry& entry);
  void end_cold(Entry& entry);
  Answer truth_of_cold(Entry& entry);
  static bool is_fed(Entry& entry);
  Answer answer_accepted(Entry& entry);
  Answer truth_of(Entry& entry);
  void keep_definition(const Entry& entry, const RunState& state);
  Status remove_created(Entry& entry);
  Status wait_until_gone(const std::string& uuid);
  Status undefine(const std::string& uuid);
  bool is_left(Entry& entry);
  std::shared_ptr<Entry> find(std::string_view move_id) const;
  std::shared_ptr<Entry> recall(std::string_view move_id) const;
  std::vector<std::shared_ptr<Entry>> all() const;

  World& world_;
  const std::function<std::vector<Vm>()> vms_;
  const KeepResidue keep_;
  const std::string tpm_folder_;
  std::chrono::milliseconds lease_{std::chrono::minutes(2)};
  std::string version_;
  std::string listens_at_;  // empty: every address; or a name, which says nothing here
  std::mutex
      reserving_;  // one reservation is checked and entered at a time; taken before all others
  mutable std::mutex entries_mutex_;  // guards entries_
  std::map<std::string, std::shared_ptr<Entry>, std::less<>> entries_;
};

}  // namespace drover::move
