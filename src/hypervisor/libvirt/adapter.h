// SPDX-License-Identifier: Apache-2.0
// The adapter's class and what its source files share. Private to this folder.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "hypervisor/domain_xml.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/libvirt/connection.h"
#include "hypervisor/libvirt/handle.h"
#include "hypervisor/libvirt/libvirt.h"
#include "hypervisor/saved_memory.h"

namespace drover::libvirt {

// By UUID, or by name. kNotFound names what was asked for.
Result<DomainHandle> look_up(virConnectPtr connection, std::string_view name_or_uuid);
Result<std::string> domain_xml(virDomainPtr domain, unsigned flags);
// libvirt's state of it, in words and as a RunState.
Result<RunState> run_state_of(virDomainPtr domain);
VmState vm_state_of(int state, int reason);
// The pool of block devices (hypervisor/volume_pool.h) that this device is a volume of; empty:
// none.
std::string pool_of_device(virConnectPtr connection, const std::string& path);
// Its snapshots, each after the one it follows from.
Result<std::vector<CheckpointText>> read_checkpoints(virDomainPtr domain);
// SavedMemory::saved_memory_file().
std::string saved_memory_path(std::string_view name);

// What list_vms shows of VMs between changes: read once, dropped by events, and by age for what has
// no event (snapshots, autostart, the growth of disks). Any thread.
class Inventory {
 public:
  void forget(const std::string& uuid);  // "": everything
  // Nothing: not known, or too old.
  bool find(const std::string& uuid, Vm& vm);
  // A number to read before the VM is, and to hand to store(): what changed in between is not
  // stored.
  std::uint64_t generation();
  void store(const Vm& vm, std::uint64_t read_at);

 private:
  struct Entry {
    Vm vm;
    std::chrono::steady_clock::time_point read_at;
  };
  std::mutex mutex_;  // guards all below
  std::map<std::string, Entry> entries_;
  std::uint64_t generation_ = 0;
};

class Adapter final : public Hypervisor, public SavedMemory {
 public:
  explicit Adapter(LibvirtOptions options);

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
  Result<std::vector<GuestAddress>> guest_addresses(std::string_view uuid) override;
  Result<std::string> host_cpu(const MachineKind& machine) override;
  Result<std::string> baseline_cpu(const MachineKind& machine, std::span<const std::string> cpus,
                                   CpuFeatures features) override;
  Result<std::vector<std::string>> secrets() override;
  Result<std::string> secret_value(const SecretName& name) override;
  void subscribe(std::function<void(const VmEvent&)> callback) override;
  Status define(std::string_view xml) override;
  Status undefine(std::string_view uuid) override;
  Status set_autostart(std::string_view uuid, bool on) override;
  Status destroy(std::string_view uuid) override;
  Status resume(std::string_view uuid) override;
  Result<std::vector<std::string>> replug(std::string_view uuid) override;
  Status change_media(std::string_view uuid, std::string_view target, const std::string& path,
                      InDrive when) override;
  Status unplug(std::string_view uuid, const TeamedDevice& device) override;
  Status plug(std::string_view uuid, const TeamedDevice& device) override;
  Status set_network(std::string_view name, NetworkState state) override;
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

 private:
  // A domain together with the connection it belongs to: handles die in the right order.
  struct Found {
    ConnectHandle connection;
    DomainHandle domain;
    virDomainPtr get() const { return domain.get(); }
  };
  Result<Found> find(std::string_view name_or_uuid);
  Result<std::vector<PoolFacts>> pools(virConnectPtr connection);
  Status keep_holes(const DiskCopyCall& call);

  const std::string tpm_folder_;
  Inventory inventory_;
  Connection connection_;  // last: its threads use what stands above
};

}  // namespace drover::libvirt
