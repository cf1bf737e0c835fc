// SPDX-License-Identifier: Apache-2.0
// What VMs there are, and what state they are in.
#include <array>

#include <sys/stat.h>
#include <unistd.h>

#include "hypervisor/backing_chain.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/libvirt/adapter.h"
#include "hypervisor/libvirt/failure.h"

namespace drover::libvirt {
namespace {

constexpr auto kEntryAgeMax = std::chrono::seconds(60);

std::string uuid_of(virDomainPtr domain) {
  char uuid[VIR_UUID_STRING_BUFLEN] = {};
  return virDomainGetUUIDString(domain, uuid) == 0 ? uuid : "";
}

// A volume's path, as libvirt resolves it when it starts the VM.
std::string volume_path(virConnectPtr connection, const DiskFacts& disk) {
  const PoolHandle pool(virStoragePoolLookupByName(connection, disk.pool.c_str()));
  if (!pool) return {};
  const VolumeHandle volume(virStorageVolLookupByName(pool.get(), disk.volume.c_str()));
  if (!volume) return {};
  const Text path(virStorageVolGetPath(volume.get()));
  return path ? path.get() : "";
}

ByteCount allocated(const std::string& path) {
  struct stat found{};
  if (path.empty() || ::stat(path.c_str(), &found) != 0 || !S_ISREG(found.st_mode)) return {};
  return {static_cast<std::uint64_t>(found.st_blocks) * 512};
}

bool is_device(const Disk& disk) {
  struct stat found{};
  if (disk.kind == DiskKind::kBlock) return !disk.path.empty();
  return disk.kind == DiskKind::kVolume && ::stat(disk.path.c_str(), &found) == 0 &&
         S_ISBLK(found.st_mode);
}

// One that cannot be read is missing, and so the numbers differ.
void add_checkpoints(virDomainPtr domain, Vm& vm) {
  const auto texts = read_checkpoints(domain);
  if (!texts) return;
  for (const CheckpointText& text : *texts) {
    if (auto checkpoint = parse_checkpoint(text)) vm.checkpoints.push_back(std::move(*checkpoint));
  }
}

// libvirt's start goes by the file, whatever its other calls know of it (saved.cpp).
bool has_saved_memory(virDomainPtr domain, const std::string& name) {
  if (::access(saved_memory_path(name).c_str(), F_OK) == 0) return virDomainIsActive(domain) == 0;
  return virDomainHasManagedSaveImage(domain, 0) == 1;
}

// What libvirt tells of it, with no look into images but at what they are built on.
Result<Vm> read_vm(virConnectPtr connection, virDomainPtr domain) {
  ASSIGN_OR_RETURN(const std::string xml, domain_xml(domain, 0));
  ASSIGN_OR_RETURN(DomainFacts facts, parse_domain(xml));
  Vm vm = std::move(facts.vm);
  for (std::size_t i = 0; i < vm.disks.size(); ++i) {
    if (vm.disks[i].kind == DiskKind::kVolume)
      vm.disks[i].path = volume_path(connection, facts.disks[i]);
    vm.disks[i].allocated = allocated(vm.disks[i].path);
    if (is_device(vm.disks[i])) vm.disks[i].pool = pool_of_device(connection, vm.disks[i].path);
    vm.disks[i].virtual_size = facts.disks[i].slice;
    // The definition of a VM that is off does not tell.
    if (vm.disks[i].backing_chain.empty())
      vm.disks[i].backing_chain = backing_chain_of(vm.disks[i].path, vm.disks[i].format);
  }
  vm.persistent = virDomainIsPersistent(domain) == 1;
  int autostart = 0;
  vm.autostart = virDomainGetAutostart(domain, &autostart) == 0 && autostart != 0;
  vm.saved = has_saved_memory(domain, vm.name);
  const int snapshots = virDomainSnapshotNum(domain, 0);
  vm.snapshots = snapshots > 0 ? static_cast<std::uint32_t>(snapshots) : 0;
  if (vm.snapshots != 0) add_checkpoints(domain, vm);
  return vm;
}

// Virtual sizes of all disks at once. NOWAIT: a VM whose QEMU is busy goes without.
void add_sizes(virDomainPtr domain, Vm& vm) {
  std::array<virDomainPtr, 2> domains{domain, nullptr};
  Records records;
  records.count = virDomainListGetStats(domains.data(), VIR_DOMAIN_STATS_BLOCK, &records.list,
                                        VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
  if (records.count < 1) return;
  const auto* record = records.list[0];
  unsigned count = 0;
  (void)virTypedParamsGetUInt(record->params, record->nparams, "block.count", &count);
  for (unsigned i = 0; i < count; ++i) {
    const char* name = nullptr;
    unsigned long long capacity = 0;
    (void)virTypedParamsGetString(record->params, record->nparams,
                                  fmt::format("block.{}.name", i).c_str(), &name);
    (void)virTypedParamsGetULLong(record->params, record->nparams,
                                  fmt::format("block.{}.capacity", i).c_str(), &capacity);
    for (auto& disk : vm.disks) {
      if (name != nullptr && disk.target == name) disk.virtual_size = {capacity};
    }
  }
}

// What only the images themselves tell.
void add_image_facts(Vm& vm) {
  for (auto& disk : vm.disks) {
    const bool has_image = disk.kind == DiskKind::kFile || disk.kind == DiskKind::kVolume;
    if (disk.path.empty() || (!has_image && disk.pool.empty())) continue;
    const auto facts = image_facts(disk.path, disk.format);
    if (!facts) continue;
    if (!disk.pool.empty()) {
      // A slice of the device is the disk. What of it was ever written nobody knows.
      if (disk.virtual_size.bytes == 0) disk.virtual_size = facts->virtual_size;
      disk.allocated = disk.virtual_size;
      continue;
    }
    disk.virtual_size = facts->virtual_size;
    disk.allocated = facts->allocated;
    disk.cluster_size = facts->cluster_size;
    disk.backing_chain = facts->backing_chain;
    disk.layers = facts->layers;
  }
}

std::string state_text(int state, int reason) {
  struct Words {
    int state, reason;  // reason -1: any
    const char* text;
  };
  static constexpr Words kWords[] = {
      {VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_MIGRATED, "running (migrated)"},
      {VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_MIGRATION_CANCELED, "running (migration cancelled)"},
      {VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_UNPAUSED, "running (resumed)"},
      {VIR_DOMAIN_RUNNING, -1, "running"},
      {VIR_DOMAIN_BLOCKED, -1, "running (blocked)"},
      {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER, "paused (by a user)"},
      {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION, "paused (migrating)"},
      {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_IOERROR, "paused (a disk failed)"},
      {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_STARTING_UP, "paused (starting up)"},
      {VIR_DOMAIN_PAUSED, -1, "paused"},
      {VIR_DOMAIN_SHUTDOWN, -1, "shutting down"},
      {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_MIGRATED, "off (migrated away)"},
      {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_CRASHED, "off (crashed)"},
      {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_FAILED, "off (failed to start)"},
      {VIR_DOMAIN_SHUTOFF, -1, "off"},
      {VIR_DOMAIN_CRASHED, -1, "crashed"},
      {VIR_DOMAIN_PMSUSPENDED, -1, "asleep (suspended by its guest)"},
  };
  for (const auto& words : kWords) {
    if (words.state == state && (words.reason == -1 || words.reason == reason)) return words.text;
  }
  return fmt::format("in libvirt's state {} for reason {}", state, reason);
}

enum class Job { kNone, kIncoming, kOutgoing };

// REQUIRES: the domain was active a moment ago.
Result<Job> migration_job(virDomainPtr domain) {
  int type = 0;
  Parameters parameters;
  if (virDomainGetJobStats(domain, &type, &parameters.list, &parameters.count, 0) != 0) {
    // libvirt has statistics of migrations on the source only, and says so on the destination
    // alone: an incoming one is the only job that answers with this code (9.0: "migration
    // statistics are available only on the source host").
    if (last_error_code() == VIR_ERR_OPERATION_UNSUPPORTED) return Job::kIncoming;
    return fail_libvirt("Cannot read the VM's job");
  }
  if (type != VIR_DOMAIN_JOB_BOUNDED && type != VIR_DOMAIN_JOB_UNBOUNDED) return Job::kNone;
  switch (parameters.integer(VIR_DOMAIN_JOB_OPERATION)) {
    case VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT:
    case VIR_DOMAIN_JOB_OPERATION_SAVE:  // a migration into a file
      return Job::kOutgoing;
    case VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN:
    case VIR_DOMAIN_JOB_OPERATION_RESTORE:
      return Job::kIncoming;
    default:
      return Job::kNone;
  }
}

RunState::Kind kind_with(int state, Job job) {
  if (job == Job::kOutgoing) return RunState::Kind::kMigratingOut;
  switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
    case VIR_DOMAIN_SHUTDOWN:
      return RunState::Kind::kRunning;
    default:
      return job == Job::kIncoming ? RunState::Kind::kIncoming : RunState::Kind::kPaused;
  }
}

bool is_off(int state) { return state == VIR_DOMAIN_SHUTOFF; }

}  // namespace

VmState vm_state_of(int state, int reason) {
  switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
    case VIR_DOMAIN_SHUTDOWN:
      return VmState::kRunning;
    case VIR_DOMAIN_PAUSED:
      return reason == VIR_DOMAIN_PAUSED_CRASHED ? VmState::kCrashed : VmState::kPaused;
    case VIR_DOMAIN_SHUTOFF:
      return VmState::kOff;
    case VIR_DOMAIN_CRASHED:
      return VmState::kCrashed;
    default:
      return VmState::kOther;
  }
}

Result<RunState> run_state_of(virDomainPtr domain) {
  // State and job come in two calls: an answer counts only when the state was the same before and
  // after.
  for (int attempt = 0; attempt < 5; ++attempt) {
    int state = 0, reason = 0, state_after = 0, reason_after = 0;
    if (virDomainGetState(domain, &state, &reason, 0) != 0) {
      if (last_error_code() == VIR_ERR_NO_DOMAIN) return RunState{};
      return fail_libvirt("Cannot read the VM's state");
    }
    if (is_off(state)) return RunState{RunState::Kind::kOff, state_text(state, reason)};
    const auto job = migration_job(domain);
    if (virDomainGetState(domain, &state_after, &reason_after, 0) != 0) continue;
    if (state_after != state || reason_after != reason) continue;
    // It was off in between, and is as it was before.
    if (!job &&
        (job.error().code == ErrorCode::kNotFound || job.error().code == ErrorCode::kConflict))
      continue;
    if (!job) return std::unexpected(job.error());
    return RunState{kind_with(state, *job), state_text(state, reason)};
  }
  return fail(ErrorCode::kConflict, "The VM's state keeps changing.");
}

void Inventory::forget(const std::string& uuid) {
  const std::lock_guard lock(mutex_);
  ++generation_;
  if (uuid.empty())
    entries_.clear();
  else
    entries_.erase(uuid);
}

bool Inventory::find(const std::string& uuid, Vm& vm) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(uuid);
  if (found == entries_.end()) return false;
  if (std::chrono::steady_clock::now() - found->second.read_at > kEntryAgeMax) return false;
  vm = found->second.vm;
  return true;
}

std::uint64_t Inventory::generation() {
  const std::lock_guard lock(mutex_);
  return generation_;
}

void Inventory::store(const Vm& vm, std::uint64_t read_at) {
  const std::lock_guard lock(mutex_);
  if (generation_ == read_at) entries_[vm.uuid] = {vm, std::chrono::steady_clock::now()};
}

Result<std::vector<Vm>> Adapter::list_vms() {
  ASSIGN_OR_RETURN(const auto connection, connection_.get());
  Records records;
  records.count =
      virConnectGetAllDomainStats(connection.get(), VIR_DOMAIN_STATS_STATE, &records.list, 0);
  if (records.count < 0) return fail_libvirt("Cannot list the VMs");
  std::vector<Vm> vms;
  for (int i = 0; i < records.count; ++i) {
    const auto* record = records.list[i];
    Vm vm;
    if (!inventory_.find(uuid_of(record->dom), vm)) {
      const auto generation = inventory_.generation();
      auto read = read_vm(connection.get(), record->dom);
      if (!read && read.error().code == ErrorCode::kUnavailable)
        return std::unexpected(read.error());
      if (!read) continue;  // it went away meanwhile
      vm = std::move(*read);
      add_sizes(record->dom, vm);
      inventory_.store(vm, generation);
    }
    int state = 0, reason = 0;
    (void)virTypedParamsGetInt(record->params, record->nparams, "state.state", &state);
    (void)virTypedParamsGetInt(record->params, record->nparams, "state.reason", &reason);
    vm.state = vm_state_of(state, reason);
    if (state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_MIGRATION) {
      const auto now = run_state_of(record->dom);
      if (now && now->kind == RunState::Kind::kIncoming) vm.state = VmState::kIncoming;
    }
    vms.push_back(std::move(vm));
  }
  return vms;
}

Result<Vm> Adapter::find_vm(std::string_view name_or_uuid) {
  ASSIGN_OR_RETURN(const auto found, find(name_or_uuid));
  ASSIGN_OR_RETURN(Vm vm, read_vm(found.connection.get(), found.get()));
  int state = 0, reason = 0;
  if (virDomainGetState(found.get(), &state, &reason, 0) != 0) {
    return fail_libvirt(fmt::format("Cannot read the state of the VM {}", name_or_uuid));
  }
  vm.state = vm_state_of(state, reason);
  if (vm.state == VmState::kPaused) {
    ASSIGN_OR_RETURN(const RunState now, run_state_of(found.get()));
    if (now.kind == RunState::Kind::kIncoming) vm.state = VmState::kIncoming;
  }
  add_sizes(found.get(), vm);
  add_image_facts(vm);
  return vm;
}

Result<RunState> Adapter::run_state(std::string_view uuid) {
  const auto found = find(uuid);
  if (!found && found.error().code == ErrorCode::kNotFound)
    return RunState{RunState::Kind::kAbsent, "not there"};
  if (!found) return std::unexpected(found.error());
  return run_state_of(found->get());
}

}  // namespace drover::libvirt
