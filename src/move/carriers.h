// SPDX-License-Identifier: Apache-2.0
// The gate and the mover of one move on this side, as droverd sees them: started, found again after
// a restart, asked and told. They outlive droverd (docs/processes.md). One thread per object;
// objects are independent.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_count.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/unique_fd.h"
#include "gate/fence.h"
#include "model/move.h"
#include "model/performance.h"

namespace drover::move {

struct MemoryFile;  // move/residue/memory_store.h

struct CarrierOptions {
  std::filesystem::path gate_program;   // bin/drover-gate
  std::filesystem::path mover_program;  // bin/drover-mover
  std::filesystem::path socket_folder = "/run/libvirt/drover";
  std::filesystem::path run_folder = "/run/drover/moves";
  std::filesystem::path records_folder = "/var/lib/drover/records";
  std::filesystem::path writes_folder = "/var/lib/drover/writes";  // content/write_record.h
  std::filesystem::path libvirt_socket = "/run/libvirt/libvirt-sock";
  std::string instance_id;  // of the journal; goes into the ownership records
  std::chrono::milliseconds patience{120'000};
  std::chrono::milliseconds pause_budget{5'000};
};

// Where a move's sockets are. The three of libvirt and QEMU end in ".tunnelmigrate.dest.NAME",
// which AppArmor's profile for libvirt guests leaves open (facts 2.4).
struct CarrierPaths {
  std::filesystem::path rpc, memory, disks;           // in socket_folder
  std::filesystem::path gate_control, mover_control;  // in run_folder/ID
  // As libvirt wants them; a VM's name may hold spaces and letters that a URI may not.
  std::string connection_uri, memory_uri, disks_uri;
};

struct CarrierName {
  std::string move_id;
  std::string epoch;
  std::string vm_name;
  std::string vm_uuid;
};

struct LinkSecret {
  std::vector<std::uint8_t> key;  // 32 bytes
  std::string identity;
};

// Something a gate or mover said of its own accord.
struct CarrierEvent {
  enum class Kind {
    kSwitching,      // memory is being copied; the record says so
    kFinishSeen,     // FINISH came by; `cancelled` says which kind
    kInDoubt,        // source gate: the answer to FINISH cannot come on this road
    kEnded,          // the gate's last word: `text` is runs, not_run or aborted
    kPolicyRefused,  // `text` says why
    kLinkLost,
    kGaveUp,    // the mover's patience is over
    kGateGone,  // the process is no longer there
    kMoverGone,
    kOther,
  };
  Kind kind = Kind::kOther;
  bool cancelled = false;
  std::string text;
};

struct GateState {
  bool finish_forwarded =
      false;              // a FINISH was let pass that may start the guest at the destination
  bool in_doubt = false;  // and its answer cannot come on this road
  std::chrono::milliseconds held{0};  // destination: the guest stood so much longer, to be watched
};

// How the movers use the links. Both sides must allow content; the source decides.
struct RoadOptions {
  Performance performance = Performance::kCompress;
  bool references = true;                       // source
  BytesPerSecond bandwidth;                     // source; 0: no limit
  BytesPerSecond link;                          // source: measured for the plan; 0: not
  std::shared_ptr<const MemoryFile> keep = {};  // source: where the guest's pages are kept
  bool gate = true;  // source; false: nothing is said to libvirt there (road_keeper.h)
  // Source: memory waits until the destination has named what it holds (docs/mover_protocol.md,
  // "Held content"). REQUIRES: the guest runs while its memory goes.
  bool memory_waits = false;
};

struct WireCount {
  ByteCount sent, received;                    // both of this side, TLS included
  ByteCount memory_taken, disks_taken;         // what QEMU gave, before it went out
  ByteCount memory_applied;                    // of it, written at the other side
  std::vector<std::uint32_t> up;               // numbers of the links that are up
  std::map<std::uint32_t, ByteCount> carried;  // by each number so far, both directions
  bool saturated = false;                      // a link's writer needs a processor of its own
  std::optional<TransferKinds> kinds;          // source with content
  // Of guest memory, likewise: see MemoryPass.
  std::uint64_t pages = 0, resent_pages = 0, unchanged_pages = 0;
};

// What the destination's mover works on, beside its streams.
struct DestinationFiles {
  std::vector<UniqueFd> held = {};                // of an earlier move, and shared disks; to read
  std::vector<UniqueFd> group = {};               // images of VMs of the group, likewise
  std::vector<UniqueFd> images = {};              // that this move made, likewise
  std::shared_ptr<const MemoryFile> memory = {};  // that was kept of the guest, likewise
  bool record_writes = false;  // what is written to disks is put down, for written()
  bool watch_guest = false;    // QEMU marks what the guest writes, from its start on
  bool gate = true;  // false: disks go to a server of images at paths().disks (road_keeper.h),
  std::function<Result<UniqueFd>()> take_file = {};  // and streams of memory to what this gives
};

// The two processes of one move; without a gate only the mover, whose road ends with droverd.
class Carriers {
 public:
  virtual ~Carriers() = default;

  virtual bool gate_alive() = 0;
  virtual bool mover_alive() = 0;
  // Waits for the next event; nothing at the deadline.
  virtual std::optional<CarrierEvent> next_event(Deadline deadline) = 0;

  // kUnavailable: the gate is gone.
  virtual Result<GateState> gate_state() = 0;
  // Source: from now on a break may last as long as the pause budget.
  virtual Status standstill() = 0;
  virtual Status deliver_runs(std::int32_t domain_id) = 0;
  virtual Status deliver_not_run(std::string_view why) = 0;

  // Hands a connected link to the mover. The number is the one of the link's preamble; both ends
  // bind the key to it.
  virtual Status add_link(std::uint16_t number, UniqueFd link) = 0;
  virtual Result<WireCount> wire_count() = 0;
  // Source; 0: no limit.
  virtual Status set_bandwidth(BytesPerSecond bandwidth) = 0;
  // Source, before the guest stands still: the guest's memory does not go out until false is said.
  virtual Status hold_memory(bool held) = 0;
  // Likewise: it goes out for so long (a day at most), and not after that, also without a droverd.
  virtual Status pass_memory(std::chrono::milliseconds span) = 0;
  // Source: what is written to disks does not go out for so long (10 min at most); 0: it goes on.
  virtual Status hold_disks(std::chrono::milliseconds span) = 0;

  // Ends the mover alone: what it carries breaks off. The gate goes on as after any break.
  virtual Status cut_road() = 0;
  // Ends both processes and removes what they left. May be called again. A source gate that holds
  // an undelivered answer refuses (kConflict), a busy one is silent (kTimeout): then nothing was
  // stopped. Success does not say what the gate did before: its record does.
  virtual Status stop() = 0;
};

// Where carriers come from. Any thread.
class Carriage {
 public:
  virtual ~Carriage() = default;
  virtual Result<std::unique_ptr<Carriers>> start_source(const CarrierName&, const LinkSecret&,
                                                         std::vector<gate::FencedDisk> fence,
                                                         const RoadOptions& road) = 0;
  // `policy` is the text of gate::Policy.
  virtual Result<std::unique_ptr<Carriers>> start_destination(const CarrierName&, const LinkSecret&,
                                                              std::string_view policy,
                                                              DestinationFiles files) = 0;
  // After a restart of droverd. Either process may be gone; then gate_alive(), mover_alive() say
  // so.
  virtual std::unique_ptr<Carriers> attach(const CarrierName&) = 0;
  virtual CarrierPaths paths(const CarrierName&) const = 0;
  // Destination: the record of what was written to the disks, to be read. kSystem: there is none.
  virtual Result<UniqueFd> written(const CarrierName&) = 0;
  // Where the memory of a guest that was saved for this move lies, on either side.
  virtual std::filesystem::path state_file(const CarrierName&) const = 0;
  // An empty file without a name, where there is room.
  virtual Result<UniqueFd> scratch_file() = 0;
  // Sockets, folders and records of a move whose processes are gone.
  virtual void remove_files(const CarrierName&) = 0;
};

// The real one: drover-gate and drover-mover.
class CarrierPrograms final : public Carriage {
 public:
  explicit CarrierPrograms(CarrierOptions options) : options_(std::move(options)) {}
  const CarrierOptions& options() const { return options_; }

  Result<std::unique_ptr<Carriers>> start_source(const CarrierName&, const LinkSecret&,
                                                 std::vector<gate::FencedDisk> fence,
                                                 const RoadOptions& road) override;
  Result<std::unique_ptr<Carriers>> start_destination(const CarrierName&, const LinkSecret&,
                                                      std::string_view policy,
                                                      DestinationFiles files) override;
  std::unique_ptr<Carriers> attach(const CarrierName&) override;
  CarrierPaths paths(const CarrierName&) const override;
  Result<UniqueFd> written(const CarrierName&) override;
  std::filesystem::path state_file(const CarrierName&) const override;
  Result<UniqueFd> scratch_file() override;
  void remove_files(const CarrierName&) override;

 private:
  const CarrierOptions options_;
};

}  // namespace drover::move
