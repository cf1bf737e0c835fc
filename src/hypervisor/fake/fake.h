// SPDX-License-Identifier: Apache-2.0
// An in-memory hypervisor for tests and simulations. It keeps libvirt's rules where a move depends
// on them: who runs the guest after each kind of failure, jobs, conflicts of names, and the split
// brain after a lost reply. Any thread; the lock is never held while a hook or a subscriber runs.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/saved_memory.h"

namespace drover::fake {

// Where the copy of a disk is, in order.
enum class CopyStep {
  kBegin,   // failing: there is no copy
  kReady,   // asked each time somebody looks. kUnavailable: not ready yet; else the copy has failed
  kSwitch,  // failing: the VM stays with its disk, the copy stays ready
};

// Where a migration is, in order. A hook may fail any of them, or block there to hold the
// migration.
enum class Step {
  kPrepare,     // before the destination is asked; failing: nothing happened
  kDisks,       // the destination waits, disks are copied; failing: the source runs on
  kMemory,      // memory is copied; failing: the source runs on
  kStandstill,  // the source's guest stands still, FINISH not sent; failing: the source resumes
  kFinish,  // FINISH is about to reach the destination; failing: it never does, the source resumes
  kReply,   // the destination's guest runs, its reply is on the way; failing: it is lost
};

struct FakeOptions {
  std::string host_name = "host";
  HostFacts facts;  // name is taken from host_name; empty members get plausible values
  // Called at each step of migrations away from here, outside the lock.
  std::function<Status(Step, const std::string& uuid)> at_step;
  // Guests whose memory refuses to converge and the like can be shown with it.
  std::function<JobProgress(Step)> progress;
};

class FakeHypervisor final : public Hypervisor, public SavedMemory {
 public:
  explicit FakeHypervisor(FakeOptions options);

  // Where migrations from here lead, whatever their URI says. The peer must outlive them.
  void link(FakeHypervisor& peer);

  // What users and the world do. REQUIRES (all but power_cut): the VM is defined.
  Status start(std::string_view uuid);
  void set_snapshots(std::string_view uuid, std::uint32_t count);
  void power_cut();             // running guests are gone, transient VMs forgotten
  void set_answering(bool on);  // off: every call gives kUnavailable

  // What tests look at. Locks on the fence's descriptors keep the guest from resuming, as QEMU's
  // do.
  std::size_t held_descriptors(std::string_view uuid);

  bool connected() override;
  Result<HostFacts> host_facts() override;
  Result<std::vector<Vm>> list_vms() override;
  Result<Vm> find_vm(std::string_view name_or_uuid) override;
  Result<RunState> run_state(std::string_view uuid) override;
  Result<std::string> definition(std::string_view uuid, DefinitionKind kind) override;
  Result<CpuComparison> compare_cpu(std::string_view domain_xml,
                                    std::vector<std::string>* missing) override;
  Result<GuestLoad> guest_load(std::string_view uuid) override;
  Status measure_dirtying(std::string_view uuid, std::chrono::seconds span) override;
  Result<GuestSigns> guest_signs(std::string_view uuid) override;
  Result<std::string> ask_agent(std::string_view uuid, const std::string& command,
                                std::chrono::seconds limit) override;
  Result<std::string> host_cpu(const MachineKind& machine) override;
  Result<std::string> baseline_cpu(const MachineKind& machine, std::span<const std::string> cpus,
                                   CpuFeatures features) override;
  Status change_media(std::string_view uuid, std::string_view target, const std::string& path,
                      InDrive when) override;
  void subscribe(std::function<void(const VmEvent&)> callback) override;
  Status define(std::string_view xml) override;
  Status undefine(std::string_view uuid) override;
  Status set_autostart(std::string_view uuid, bool on) override;
  Status destroy(std::string_view uuid) override;
  Status resume(std::string_view uuid) override;
  Result<std::vector<std::string>> replug(std::string_view uuid) override;
  Status refresh_pool(std::string_view folder) override;
  Result<VolumePool> volume_pool(std::string_view name) override;
  Result<std::optional<Volume>> find_volume(std::string_view pool,
                                            const std::string& name) override;
  Result<Volume> create_volume(std::string_view pool, const std::string& name,
                               ByteCount size) override;
  Status delete_volume(std::string_view pool, const std::string& name,
                       const std::string& key) override;
  Result<std::vector<CheckpointText>> checkpoints(std::string_view uuid) override;
  Status forget_checkpoints(std::string_view uuid) override;
  Status know_checkpoints(std::string_view uuid,
                          std::span<const CheckpointText> checkpoints) override;
  Status migrate(const MigrateCall& call) override;
  Result<JobProgress> job_progress(std::string_view uuid) override;
  Result<CompletedJob> completed_job(std::string_view uuid) override;
  Status abort_job(std::string_view uuid) override;
  Status set_downtime_limit(std::string_view uuid, std::chrono::milliseconds limit) override;
  Status hold_descriptors(std::string_view uuid, std::span<const int> descriptors) override;
  Status hold_image(std::string_view uuid, int image) override;
  Status drop_descriptors(std::string_view uuid) override;
  Status suspend(std::string_view uuid) override;
  Status save(std::string_view uuid, std::string_view path, Then then) override;
  Status restore(std::string_view path, std::string_view xml) override;
  std::string saved_memory_file(std::string_view name) const override;
  Result<std::string> saved_definition(std::string_view path) override;
  Status write_memory(std::string_view uuid, std::string_view path) override;
  Status define_saved(std::string_view path, std::string_view xml) override;
  Status copy_disk(const DiskCopyCall& call) override;
  Result<DiskCopy> disk_copy(std::string_view uuid, std::string_view target) override;
  Status end_disk_copy(std::string_view uuid, std::string_view target, DiskCopyEnd end) override;
  Result<std::string> ask_qemu(std::string_view uuid, const std::string& command) override;

  // Pools whose volumes are files of their folders, and as large as they were asked for; their keys
  // are their inodes. Set before any call.
  std::vector<VolumePool> volume_pools;
  // Called before a volume is made, under the lock; set before. Without: all goes well.
  std::function<Status()> at_create_volume;
  // Called when a definition comes, under the lock; set before. Without: it is taken.
  std::function<Status()> at_define;
  // Called when a guest is saved or restored, under the lock; set before. Without: all goes well.
  std::function<Status()> at_save, at_restore;
  std::function<Status(const std::string& path)> at_write_memory;  // may call the fake
  // Where memory of VMs that are off is kept; set before any call. Empty: none is.
  std::string saved_folder;
  // The <cpu> of host-model here, of one model with features that it requires; set before any call.
  // Empty: it is not known, and every CPU is taken.
  std::string cpu;
  // Called by forget_checkpoints() and know_checkpoints(), under the lock; set before any of them.
  std::function<Status(bool known)> at_checkpoints;
  // Called at each step of a disk's copy, under the lock; set before any of them. Without: all go
  // well.
  std::function<Status(CopyStep, const std::string& target)> at_copy;
  // Answers ask_qemu(); set before any call of it. Without: there is no such QEMU.
  std::function<std::string(const std::string& command)> qemu;
  // What guest_load() tells of a VM that runs; without: nothing is known.
  std::function<GuestLoad()> load;
  std::vector<std::string> measured;  // UUIDs that measure_dirtying() was called for, in order
  // Likewise for ask_agent(); without: no agent. And what guest_signs() adds to the VM's state.
  std::function<std::string(const std::string& command)> agent;
  std::function<void(GuestSigns& signs)> signs;

 private:
  struct Machine {
    Vm vm;
    std::string persistent_xml;  // empty: transient
    std::string live_xml;        // empty: off
    RunState::Kind kind = RunState::Kind::kOff;
    Step step = Step::kPrepare;  // of the outgoing migration
    bool abort_asked = false;
    std::optional<CompletedJob> completed;
    std::vector<UniqueFd> held;
    std::vector<CheckpointText> checkpoints;
    std::map<std::string, DiskCopyCall, std::less<>> copies;  // by target
  };

  Result<Machine*> machine(std::string_view name_or_uuid);            // under the lock
  Vm as_seen(const Machine& machine) const;                           // likewise
  Result<const VolumePool*> pool_named(std::string_view name) const;  // likewise
  Status use_copy(Machine& machine, const DiskCopyCall& copy);
  Status prepare(const MigrateCall& call, const std::string& name);
  Status finish(const MigrateCall& call);
  void cancel_incoming(const std::string& uuid);
  Status walk(const MigrateCall& call, Step step);
  // The end of a migration on the source, as libvirt's rollback does it.
  void roll_back(const std::string& uuid);
  void complete(const std::string& uuid);
  void publish(VmEvent::Kind kind, const Vm& vm);
  Status answering() const;

  FakeOptions options_;
  FakeHypervisor* peer_ = nullptr;
  mutable std::mutex mutex_;  // guards all below; two fakes' are never held together
  std::map<std::string, Machine> machines_;
  std::function<void(const VmEvent&)> subscriber_;
  bool answering_ = true;
};

}  // namespace drover::fake
