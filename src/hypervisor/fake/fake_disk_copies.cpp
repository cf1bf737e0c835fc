// SPDX-License-Identifier: Apache-2.0
// Copies of disks within a host, with libvirt's endings.
#include <algorithm>
#include <array>

#include "hypervisor/adapt_definition.h"
#include "hypervisor/fake/fake.h"

namespace drover::fake {

Status FakeHypervisor::copy_disk(const DiskCopyCall& call) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(Machine* const found, machine(call.uuid));
  if (found->live_xml.empty())
    return fail(ErrorCode::kConflict, "The VM {} does not run.", call.uuid);
  if (const auto there = found->copies.find(call.target); there != found->copies.end()) {
    if (there->second.path == call.path) return {};
    return fail(ErrorCode::kConflict, "Another job works on {}.", call.target);
  }
  if (at_copy) RETURN_IF_ERROR(at_copy(CopyStep::kBegin, call.target));
  found->copies[call.target] = call;
  return {};
}

Result<DiskCopy> FakeHypervisor::disk_copy(std::string_view uuid, std::string_view target) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(Machine* const found, machine(uuid));
  if (found->live_xml.empty()) return fail(ErrorCode::kConflict, "The VM {} does not run.", uuid);
  const auto disk = std::ranges::find(found->vm.disks, target, &Disk::target);
  if (disk == found->vm.disks.end())
    return fail(ErrorCode::kNotFound, "The VM {} has no disk {}.", uuid, target);
  DiskCopy copy;
  copy.disk_path = disk->path;
  const auto job = found->copies.find(target);
  if (job == found->copies.end()) return copy;
  copy.total = job->second.size;
  const Status ready = at_copy ? at_copy(CopyStep::kReady, job->second.target) : Status{};
  if (!ready && ready.error().code != ErrorCode::kUnavailable) {
    found->copies.erase(job);
    return copy;
  }
  copy.copy_path = job->second.path;
  copy.state = ready ? DiskCopy::State::kReady : DiskCopy::State::kCopying;
  if (ready) copy.done = copy.total;
  return copy;
}

Status FakeHypervisor::end_disk_copy(std::string_view uuid, std::string_view target,
                                     DiskCopyEnd end) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(Machine* const found, machine(uuid));
  const auto job = found->copies.find(target);
  if (job == found->copies.end()) return {};
  if (end == DiskCopyEnd::kSwitch) {
    if (at_copy) RETURN_IF_ERROR(at_copy(CopyStep::kSwitch, job->second.target));
    RETURN_IF_ERROR(use_copy(*found, job->second));
  }
  found->copies.erase(job);
  return {};
}

// In the running VM, and in its persistent definition where that has the same disk.
Status FakeHypervisor::use_copy(Machine& machine, const DiskCopyCall& copy) {
  for (auto& disk : machine.vm.disks) {
    if (disk.target == copy.target) disk.path = copy.path;
  }
  const std::array placements{DiskPlacement{copy.target, "", copy.path, copy.format, copy.size,
                                            ByteCount{}, ByteCount{}, false}};
  ASSIGN_OR_RETURN(machine.live_xml, adapt_definition(machine.live_xml, placements, ""));
  if (machine.persistent_xml.empty()) return {};
  ASSIGN_OR_RETURN(machine.persistent_xml,
                   adapt_definition(machine.persistent_xml, placements, ""));
  return {};
}

}  // namespace drover::fake
