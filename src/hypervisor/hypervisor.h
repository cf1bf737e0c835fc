// SPDX-License-Identifier: Apache-2.0
// What Drover asks of a hypervisor, in Drover's words. hypervisor/libvirt is the real one,
// hypervisor/fake an in-memory one; both pass the same conformance suite. VMs are named by UUID and
// looked up anew in each call. Any thread may call any function; each call may block on the
// hypervisor but has a deadline inside, except migrate(), which lasts as long as the move.
// kUnavailable: the hypervisor's daemon does not answer.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "hypervisor/checkpoint_xml.h"
#include "hypervisor/teaming.h"
#include "hypervisor/volume_pool.h"
#include "model/after.h"
#include "model/allocation.h"
#include "model/host.h"
#include "model/vm.h"

namespace drover {

enum class DefinitionKind {
  kLive,      // of the running VM: MIGRATABLE | SECURE
  kAsItRuns,  // the same with what libvirt itself chose, such as the aliases of devices; no secrets
  kPersistent,  // what is kept for the next boot: INACTIVE | MIGRATABLE | SECURE
};

struct SecretName;  // hypervisor/domain_xml.h

// libvirt peer-to-peer migration over the three unix sockets of docs/processes.md. Source-side
// call.
struct MigrateCall {
  std::string uuid;
  std::string connection_uri;  // "qemu+unix:///system?socket=..."
  std::string memory_uri;      // "unix:///run/libvirt/drover/..."
  std::string disks_uri;       // empty: no disk is copied
  std::string destination_xml;
  std::string persistent_xml;
  std::vector<std::string> copied_disks;  // targets, e.g. "vda"
  bool keep_chains = false;   // only each disk's own image: what it is built on is there already
  bool shared_disks = false;  // others are proven to be on shared storage, whatever libvirt thinks
  unsigned parallel_connections = 0;  // for the pages of memory (multifd); 0: one stream has all
  bool slow_guest = false;            // take processor time from a guest that outruns the link
};

struct JobProgress {
  bool active = false;          // an outgoing migration job is under way
  bool copying_memory = false;  // disks are mirrored already
  ByteCount disks_done, disks_total;
  ByteCount memory_done, memory_left, memory_total;
  BytesPerSecond memory_rate;  // as QEMU saw it in its last 100 ms
  std::uint64_t memory_iteration = 0;
  std::uint64_t dirty_pages_per_second = 0;
  std::uint64_t page_size = 4096;
};

// What a running VM does and holds, for a forecast. 0: not known.
struct GuestLoad {
  ByteCount memory_held;    // by its QEMU: pages that the guest never wrote are not there
  ByteCount disks_written;  // since its QEMU started
  // Memory that the guest changed in a second, as measured last; nothing: it is being measured, or
  // never was.
  std::optional<BytesPerSecond> dirty_rate;
  std::chrono::seconds dirty_age{0};  // since dirty_rate was measured, by whomever
  bool measuring = false;             // dirty_rate, by whomever: the one before is not told
};

// Left behind by a finished migration; asked on the destination, once
// (VIR_DOMAIN_JOB_STATS_COMPLETED).
struct CompletedJob {
  std::chrono::milliseconds duration{0};
  std::chrono::milliseconds pause{0};
  ByteCount memory_sent, disks_sent;
};

// A copy of one disk of a running VM, kept equal to the disk until it is ended. It belongs to the
// VM's QEMU: it goes on without us, and ends with the QEMU.
struct DiskCopyCall {
  std::string uuid;
  std::string target;                         // "vda"
  std::string path;                           // an empty image of the disk's size, made for this
  std::string format;                         // of that image
  ByteCount size;                             // of the disk, as the guest sees it
  BytesPerSecond bandwidth;                   // 0: no limit
  std::optional<Allocation> allocation = {};  // of the image; nothing: holes stay holes
  bool to_device = false;                     // `path` is a block device, which may hold anything
};

struct DiskCopy {
  enum class State {
    kNone,     // there is none
    kCopying,  // or just ending
    kReady,    // both images hold the same, and are written alike
  };
  State state = State::kNone;
  std::string disk_path;  // what the VM uses as this disk now
  std::string copy_path;  // empty with kNone
  ByteCount done, total;
};

enum class DiskCopyEnd {
  kSwitch,  // the VM uses the copy from now on, and the persistent definition follows
  kDrop,    // the VM stays with its disk
};

// An address of a guest, as its agent, libvirt's leases or the host's neighbours know it.
struct GuestAddress {
  std::string mac;
  std::string address;            // "10.1.0.7"; none of the link alone
  std::uint32_t prefix_bits = 0;  // of its network; 0: not known
};

// What a CPU is given to: as a definition names it.
struct MachineKind {
  std::string arch;         // "x86_64"
  std::string machine;      // "pc-q35-7.2"
  std::string domain_type;  // "kvm", "qemu"
};

enum class CpuComparison { kSame, kSuperset, kIncompatible };

// The state of a VM's QEMU, finer than VmState, for deciding who runs it.
struct RunState {
  enum class Kind {
    kAbsent,    // no such domain at all
    kOff,       // defined, no QEMU
    kIncoming,  // QEMU waits for a migration, or receives one; also out of a file (restore)
    kRunning,
    kPaused,        // QEMU is there, guest stands still, no such job
    kMigratingOut,  // an outgoing migration job exists, also into a file (guest runs or not)
  };
  Kind kind = Kind::kAbsent;
  std::string reason;  // for people: libvirt's state and reason
};

struct VmEvent {
  enum class Kind {
    kDefined,
    kUndefined,
    kStarted,
    kSuspended,
    kResumed,
    kStopped,
    kOther,
    kConnected,
    kDisconnected
  };
  Kind kind = Kind::kOther;
  std::string uuid;  // empty for kConnected and kDisconnected
  std::string name;
  // kStarted, kStopped: it came, or went, by a live migration; kSuspended: it stands still for one.
  bool by_migration = false;
};

class Hypervisor {
 public:
  virtual ~Hypervisor() = default;

  // --- what is there
  // -------------------------------------------------------------------------------------
  virtual bool connected() = 0;
  // `settings` is left empty: it is not the hypervisor's.
  virtual Result<HostFacts> host_facts() = 0;
  // Disks' sizes are filled where the hypervisor can tell; `host` and `move_id` are not.
  virtual Result<std::vector<Vm>> list_vms() = 0;
  virtual Result<Vm> find_vm(std::string_view name_or_uuid) = 0;
  virtual Result<RunState> run_state(std::string_view uuid) = 0;
  virtual Result<std::string> definition(std::string_view uuid, DefinitionKind kind) = 0;
  // The guest CPU in `domain_xml` against this host's hypervisor; `missing` gets feature names
  // where known.
  virtual Result<CpuComparison> compare_cpu(std::string_view domain_xml,
                                            std::vector<std::string>* missing) = 0;

  // Of a VM that runs. A hypervisor that cannot tell knows nothing, and measures nothing.
  virtual Result<GuestLoad> guest_load(std::string_view /*name_or_uuid*/) { return GuestLoad{}; }
  // Begins to measure how much memory the guest changes, for so many seconds (1 to 60), by samples;
  // guest_load() has the outcome. Not while a migration is under way. One that goes on is success.
  virtual Status measure_dirtying(std::string_view /*name_or_uuid*/, std::chrono::seconds) {
    return {};
  }

  // Without its agent: that is asked by ask_agent(). A VM that is off has no signs but its state.
  virtual Result<GuestSigns> guest_signs(std::string_view uuid) = 0;
  // A command to the guest's agent and its answer, as its JSON. kTimeout, kHypervisor: none is
  // there, or it is silent. The answer is not trusted to have any shape.
  virtual Result<std::string> ask_agent(std::string_view uuid, const std::string& command,
                                        std::chrono::seconds limit) = 0;

  // Of a running VM; within 2 s, and none where nobody knows any.
  virtual Result<std::vector<GuestAddress>> guest_addresses(std::string_view) {
    return std::vector<GuestAddress>{};
  }
  // The <cpu> that the hypervisor here gives to a guest that asks for the host's model.
  virtual Result<std::string> host_cpu(const MachineKind&) { return cannot("name its CPU"); }
  // The most that a guest can have on each of several hosts, of which these are the <cpu>s: a <cpu>
  // for its definition. Of hypervisors of different releases the oldest should be asked.
  enum class CpuFeatures { kBeyondTheModel, kAll };
  virtual Result<std::string> baseline_cpu(const MachineKind&, std::span<const std::string>,
                                           CpuFeatures) {
    return cannot("compute a CPU for several hosts");
  }
  // What secrets are defined: the UUID and the usage of each.
  virtual Result<std::vector<std::string>> secrets() { return cannot("list secrets"); }
  // What one holds: bytes. kPermission: it is private, so that libvirt tells it to nobody, or of
  // another type.
  virtual Result<std::string> secret_value(const SecretName&) { return cannot("read secrets"); }

  // Called from an own thread of the adapter, in order; must return soon. One subscriber.
  virtual void subscribe(std::function<void(const VmEvent&)> callback) = 0;

  // --- changes
  // -------------------------------------------------------------------------------------------
  virtual Status define(std::string_view xml) = 0;
  // Keeps NVRAM and TPM files: quarantine handles them. kConflict: it could not. Absent is success.
  virtual Status undefine(std::string_view uuid) = 0;
  virtual Status set_autostart(std::string_view uuid, bool on) = 0;
  // Kills the QEMU at once. REQUIRES: the caller holds the ownership record's word that it may. Not
  // found is success.
  virtual Status destroy(std::string_view uuid) = 0;
  virtual Status resume(std::string_view uuid) = 0;
  // Takes the link of each network interface of a running VM down, and up again a second later; one
  // that is missing from its bridge is put into it first. What was done, by MAC; kConflict: it does
  // not run. After an error a link may be down: run it again.
  virtual Result<std::vector<std::string>> replug(std::string_view uuid) = 0;
  // What is in a drive of a VM; empty: nothing is. A drive that the guest has locked is opened by
  // force. A drive that was plugged in for now alone has no next boot, nor a VM that is off a now.
  enum class InDrive { kNow, kAtNextBoot, kAlways };
  virtual Status change_media(std::string_view, std::string_view, const std::string&, InDrive) {
    return cannot("change what is in a drive");
  }
  // A card that the guest can live without, out of a VM that runs; success also if it is not there.
  // kTimeout: the guest has not let it go within 20 s, and may yet.
  virtual Status unplug(std::string_view, const TeamedDevice&) { return cannot("unplug devices"); }
  // Into it again, unless it is there.
  virtual Status plug(std::string_view, const TeamedDevice&) { return cannot("plug devices in"); }
  // Of libvirt, that is defined. kNotFound; one that is so already is success.
  enum class NetworkState { kActive, kInactive };
  virtual Status set_network(std::string_view, NetworkState) { return cannot("start networks"); }
  // Refreshes the active directory pool that holds `folder`, if any.
  virtual Status refresh_pool(std::string_view folder) = 0;

  // --- volumes of pools of block devices
  // -----------------------------------------------------------------
  // As its storage is now. kNotFound; kConflict: it is not active; kInvalidArgument: its volumes
  // are no block devices, or others may see them too.
  virtual Result<VolumePool> volume_pool(std::string_view) { return cannot("list volumes"); }
  // Nothing: no such volume.
  virtual Result<std::optional<Volume>> find_volume(std::string_view, const std::string&) {
    return cannot("list volumes");
  }
  // Of at least that size; what it holds is not known. kConflict: there is one of that name. After
  // another error it may be there.
  virtual Result<Volume> create_volume(std::string_view, const std::string&, ByteCount) {
    return cannot("make volumes");
  }
  // For good. None is success; kConflict: it is in use, or, with a key, another one by now.
  virtual Status delete_volume(std::string_view, const std::string&, const std::string&) {
    return cannot("delete volumes");
  }

  // --- checkpoints
  // -------------------------------------------------------------------------------------
  // Those of the VM, each after the one it follows from.
  virtual Result<std::vector<CheckpointText>> checkpoints(std::string_view uuid) = 0;
  // What is said of them goes, as libvirt demands before a migration; what they hold in files
  // stays. None is success.
  virtual Status forget_checkpoints(std::string_view uuid) = 0;
  // Makes them known, in this order; what was known by such a name is replaced. Nothing is written
  // to an image. After an error some are known: run it again.
  virtual Status know_checkpoints(std::string_view uuid,
                                  std::span<const CheckpointText> checkpoints) = 0;

  // --- moves
  // ---------------------------------------------------------------------------------------------
  // Blocks for the whole migration, on a connection of its own. An error does NOT say where the VM
  // runs.
  virtual Status migrate(const MigrateCall& call) = 0;
  virtual Result<JobProgress> job_progress(std::string_view uuid) = 0;
  virtual Result<CompletedJob> completed_job(std::string_view uuid) = 0;
  virtual Status abort_job(std::string_view uuid) = 0;
  virtual Status set_downtime_limit(std::string_view uuid, std::chrono::milliseconds limit) = 0;
  // The fence: gives QEMU copies of these descriptors (monitor command add-fd), so that locks on
  // their open file descriptions live as long as this QEMU, whatever happens to Drover. Before
  // migrate() only: libvirt refuses monitor commands while it migrates (facts 2.5).
  virtual Status hold_descriptors(std::string_view uuid, std::span<const int> descriptors) = 0;
  // The fence of a VM none of whose disks is copied (fence_image.h): QEMU opens this qcow2 image
  // for writing beside its disks, and must take it back like them before the guest can resume. One
  // that is there already is replaced. Before migrate() only.
  virtual Status hold_image(std::string_view uuid, int image) = 0;
  // Has QEMU close them all again; nothing held is success.
  virtual Status drop_descriptors(std::string_view uuid) = 0;

  // Makes a running guest stand still until resume().
  virtual Status suspend(std::string_view uuid) = 0;
  // Saves the memory and devices of a running or paused guest into a new file and ends its QEMU;
  // the guest stands still from the beginning on, and its definition stays. Blocks for all of it,
  // on a connection of its own; abort_job() ends it. `then`: how it goes on once it is restored.
  // After an error run_state() says what is so.
  enum class Then { kRuns, kPaused };
  virtual Status save(std::string_view uuid, std::string_view path, Then then) = 0;
  // Lets such a guest go on, running or paused as it was said then. REQUIRES: it is defined and
  // off. `xml`: its live definition here; empty: as it was saved. Blocks likewise. kHypervisor: it
  // did not run. After kUnavailable or kTimeout it may.
  virtual Status restore(std::string_view path, std::string_view xml) = 0;

  // --- disks of a running VM
  // -----------------------------------------------------------------------------
  // Begins a copy; holes and zeroes take no room in it where the file system and the hypervisor
  // allow. One to the same path that goes on already is success.
  virtual Status copy_disk(const DiskCopyCall& call) = 0;
  // kConflict: the VM is off, or another job works on the disk; kNotFound: no such VM or disk.
  virtual Result<DiskCopy> disk_copy(std::string_view uuid, std::string_view target) = 0;
  // Asks for the end of a copy and does not wait for it: disk_copy() says when, and what the VM
  // uses then. No copy is success. kConflict: kSwitch, and it is not ready.
  virtual Status end_disk_copy(std::string_view uuid, std::string_view target, DiskCopyEnd end) = 0;

  // --- QEMU itself
  // ---------------------------------------------------------------------------------------
  // A command to the VM's QEMU and its answer, as QMP's JSON, an error of QEMU's included. Not
  // while a migration is under way. The answer is not trusted to have any shape.
  virtual Result<std::string> ask_qemu(std::string_view uuid, const std::string& command) = 0;

 private:
  static std::unexpected<Error> cannot(std::string_view what) {
    return fail(ErrorCode::kHypervisor, "This hypervisor cannot {}.", what);
  }
};

}  // namespace drover
