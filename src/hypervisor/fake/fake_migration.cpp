// SPDX-License-Identifier: Apache-2.0
// Migrations between two fakes, with libvirt's endings (facts 2.6).
#include <utility>

#include <fcntl.h>

#include "hypervisor/domain_xml.h"
#include "hypervisor/fake/fake.h"

namespace drover::fake {
namespace {

constexpr off_t kFenceByte = 201;  // QEMU's "does not share write"

// A QEMU about to resume takes its disks back for writing. Somebody else's read lock on the fence's
// byte, on the open description that this QEMU merely keeps, forbids it. F_OFD_GETLK from a fresh
// description sees every lock.
bool fenced(const std::vector<UniqueFd>& held) {
  for (const auto& descriptor : held) {
    const UniqueFd fresh(
        ::open(("/proc/self/fd/" + std::to_string(descriptor.get())).c_str(), O_RDWR | O_CLOEXEC));
    if (!fresh) continue;
    struct flock lock{};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = kFenceByte;
    lock.l_len = 1;
    if (::fcntl(fresh.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) return true;
  }
  return false;
}

}  // namespace

Status FakeHypervisor::resume(std::string_view uuid) {
  Vm shown;
  {
    const std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(Machine* const found, machine(uuid));
    if (found->kind != RunState::Kind::kPaused)
      return fail(ErrorCode::kConflict, "The VM {} is not paused.", uuid);
    if (fenced(found->held)) {
      return fail(ErrorCode::kHypervisor, "Cannot resume the VM {}: Failed to get \"write\" lock.",
                  uuid);
    }
    found->kind = RunState::Kind::kRunning;
    found->vm.state = VmState::kRunning;
    shown = found->vm;
  }
  publish(VmEvent::Kind::kResumed, shown);
  return {};
}

Status FakeHypervisor::prepare(const MigrateCall& call, const std::string& name) {
  ASSIGN_OR_RETURN(DomainFacts facts, parse_domain(call.destination_xml));
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(answering());
  for (const auto& [uuid, other] : machines_) {
    const bool same_uuid = uuid == call.uuid, same_name = other.vm.name == name;
    if (same_uuid != same_name || (same_uuid && !other.live_xml.empty())) {
      return fail(ErrorCode::kConflict, "A VM {} is on {} already.", other.vm.name,
                  options_.host_name);
    }
  }
  Machine& incoming = machines_[call.uuid];
  incoming.vm = std::move(facts.vm);
  incoming.vm.state = VmState::kIncoming;
  incoming.vm.persistent = !incoming.persistent_xml.empty();
  incoming.live_xml = call.destination_xml;
  incoming.kind = RunState::Kind::kIncoming;
  return {};
}

Status FakeHypervisor::finish(const MigrateCall& call) {
  Vm shown;
  {
    const std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(answering());
    const auto found = machines_.find(call.uuid);
    if (found == machines_.end() || found->second.kind != RunState::Kind::kIncoming) {
      return fail(ErrorCode::kHypervisor, "No migration of {} is incoming.", call.uuid);
    }
    Machine& arrived = found->second;
    arrived.kind = RunState::Kind::kRunning;
    arrived.vm.state = VmState::kRunning;
    arrived.persistent_xml = call.persistent_xml;
    arrived.vm.persistent = !call.persistent_xml.empty();
    arrived.completed =
        CompletedJob{std::chrono::milliseconds(1200), std::chrono::milliseconds(80),
                     arrived.vm.memory, call.copied_disks.empty() ? ByteCount{} : mib(100)};
    shown = arrived.vm;
  }
  publish(VmEvent::Kind::kResumed, shown);
  return {};
}

void FakeHypervisor::cancel_incoming(const std::string& uuid) {
  const std::lock_guard lock(mutex_);
  const auto found = machines_.find(uuid);
  if (found == machines_.end() || found->second.kind != RunState::Kind::kIncoming) return;
  if (found->second.persistent_xml.empty()) {
    machines_.erase(found);
    return;
  }
  found->second.live_xml.clear();
  found->second.kind = RunState::Kind::kOff;
  found->second.vm.state = VmState::kOff;
}

Status FakeHypervisor::walk(const MigrateCall& call, Step step) {
  {
    const std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(Machine* const leaving, machine(call.uuid));
    leaving->step = step;
    if (leaving->abort_asked)
      return fail(ErrorCode::kCancelled, "The migration of {} was aborted.", call.uuid);
  }
  if (options_.at_step) RETURN_IF_ERROR(options_.at_step(step, call.uuid));
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const Machine* leaving, machine(call.uuid));
  if (leaving->abort_asked)
    return fail(ErrorCode::kCancelled, "The migration of {} was aborted.", call.uuid);
  if (leaving->live_xml.empty())
    return fail(ErrorCode::kHypervisor, "The VM {} ended while it moved.", call.uuid);
  return {};
}

void FakeHypervisor::roll_back(const std::string& uuid) {
  const std::lock_guard lock(mutex_);
  const auto found = machine(uuid);
  if (!found || (*found)->kind != RunState::Kind::kMigratingOut) return;
  const bool stands_still = (*found)->step >= Step::kStandstill;
  const bool stays = stands_still && fenced((*found)->held);
  (*found)->kind = stays ? RunState::Kind::kPaused : RunState::Kind::kRunning;
  (*found)->vm.state = stays ? VmState::kPaused : VmState::kRunning;
  (*found)->abort_asked = false;
}

void FakeHypervisor::complete(const std::string& uuid) {
  Vm shown;
  {
    const std::lock_guard lock(mutex_);
    const auto found = machines_.find(uuid);
    if (found == machines_.end()) return;
    found->second.live_xml.clear();
    found->second.held.clear();
    found->second.kind = RunState::Kind::kOff;
    found->second.vm.state = VmState::kOff;
    shown = found->second.vm;
    if (found->second.persistent_xml.empty()) machines_.erase(found);
  }
  publish(VmEvent::Kind::kStopped, shown);
}

Status FakeHypervisor::migrate(const MigrateCall& call) {
  std::string name;
  {
    const std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(Machine* const leaving, machine(call.uuid));
    if (leaving->kind != RunState::Kind::kRunning)
      return fail(ErrorCode::kConflict, "The VM {} does not run.", call.uuid);
    if (leaving->vm.snapshots != 0)
      return fail(ErrorCode::kConflict, "The VM {} has snapshots.", call.uuid);
    if (peer_ == nullptr)
      return fail(ErrorCode::kHypervisor, "{} cannot be reached.", call.connection_uri);
    leaving->kind = RunState::Kind::kMigratingOut;
    leaving->step = Step::kPrepare;
    leaving->abort_asked = false;
    name = leaving->vm.name;
  }
  Status done = walk(call, Step::kPrepare);
  if (done) done = peer_->prepare(call, name);
  for (const Step step : {Step::kDisks, Step::kMemory, Step::kStandstill, Step::kFinish}) {
    if (done) done = walk(call, step);
  }
  // Up to here a failure destroys what waits at the destination; after FINISH nothing does.
  if (done) done = peer_->finish(call);
  if (!done) peer_->cancel_incoming(call.uuid);
  if (done) done = walk(call, Step::kReply);
  if (done)
    complete(call.uuid);
  else
    roll_back(call.uuid);
  return done;
}

Result<JobProgress> FakeHypervisor::job_progress(std::string_view uuid) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const Machine* found, machine(uuid));
  if (found->kind != RunState::Kind::kMigratingOut) return JobProgress{};
  if (options_.progress) return options_.progress(found->step);
  JobProgress progress;
  progress.active = true;
  progress.disks_total = progress.disks_done = mib(100);
  progress.copying_memory = found->step >= Step::kMemory;
  if (progress.copying_memory) progress.memory_total = progress.memory_left = found->vm.memory;
  return progress;
}

Result<CompletedJob> FakeHypervisor::completed_job(std::string_view uuid) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(Machine* const found, machine(uuid));
  if (!found->completed)
    return fail(ErrorCode::kNotFound, "No finished migration of the VM {} is on record.", uuid);
  return *std::exchange(found->completed, std::nullopt);
}

Status FakeHypervisor::abort_job(std::string_view uuid) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(Machine* const found, machine(uuid));
  if (found->kind != RunState::Kind::kMigratingOut)
    return fail(ErrorCode::kConflict, "The VM {} has no job.", uuid);
  // Too late once the guest stands still: as in libvirt, the job then ends by itself.
  if (found->step < Step::kStandstill) found->abort_asked = true;
  return {};
}

Status FakeHypervisor::set_downtime_limit(std::string_view uuid, std::chrono::milliseconds) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const Machine* found, machine(uuid));
  if (found->live_xml.empty()) return fail(ErrorCode::kConflict, "The VM {} does not run.", uuid);
  return {};
}

}  // namespace drover::fake
