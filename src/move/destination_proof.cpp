// SPDX-License-Identifier: Apache-2.0
// The destination's side of the proof "as sent": what its mover was given and its hypervisor took,
// compared with what the source's frozen disks hold (docs/proof.md).
#include <algorithm>

#include <unistd.h>

#include "base/log.h"
#include "hypervisor/domain_xml.h"
#include "move/destination_side.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

// The mover ends the record when the disk's stream has ended, which was before the switch.
constexpr auto kRecordEnds = 3s;

// libvirt names a disk's export by its alias: "drive-virtio-disk0" (facts 2.4).
Result<std::string> export_name(Hypervisor& hypervisor, const std::string& uuid,
                                const std::string& target) {
  ASSIGN_OR_RETURN(const std::string xml, hypervisor.definition(uuid, DefinitionKind::kAsItRuns));
  ASSIGN_OR_RETURN(const DomainFacts facts, parse_domain(xml));
  for (const DiskFacts& disk : facts.disks) {
    if (disk.disk.target == target && !disk.alias.empty()) return "drive-" + disk.alias;
  }
  return fail(ErrorCode::kHypervisor, "libvirt says no name of disk {}.", target);
}

}  // namespace

Result<content::WrittenDisk> DestinationSide::read_written(Entry& entry,
                                                           const DiskPlacement& placement) {
  ASSIGN_OR_RETURN(const std::string name,
                   export_name(world_.hypervisor, entry.job.plan.vm.uuid, placement.target));
  const Deadline limit = Deadline::after(kRecordEnds);
  while (true) {
    ASSIGN_OR_RETURN(const UniqueFd record, world_.carriage.written(entry.name()));
    ASSIGN_OR_RETURN(UniqueFd scratch, world_.carriage.scratch_file());
    auto disk = content::WrittenDisk::read(record.get(), name, placement.virtual_size.bytes,
                                           std::move(scratch));
    if ((disk && disk->complete()) || limit.expired()) return disk;
    ::usleep(100'000);
  }
}

Result<std::string> DestinationSide::prove(Entry& entry, std::string_view body) {
  ASSIGN_OR_RETURN(const ProveRequest request, prove_request_from_json(body));
  if (!entry.job.prepared || entry.job.undone || entry.job.undoing || entry.job.settled) {
    return fail(ErrorCode::kConflict, "Nothing of move {} can be compared on {}.",
                entry.job.move_id, world_.host_name);
  }
  const auto& placements = entry.job.plan.placements;
  const auto placement = std::ranges::find(placements, request.target, &DiskPlacement::target);
  if (placement == placements.end())
    return fail(ErrorCode::kProtocol, "Move {} copies no disk {}.", entry.job.move_id,
                request.target);
  auto found = entry.written.find(request.target);
  if (found == entry.written.end()) {
    ASSIGN_OR_RETURN(content::WrittenDisk disk, read_written(entry, *placement));
    found = entry.written.emplace(request.target, std::move(disk)).first;
  }
  const content::WrittenDisk& written = found->second;
  if (request.first > written.chunks() || written.chunks() - request.first < request.names.size()) {
    return fail(ErrorCode::kConflict, "Disk {} has {} MiB on {}, fewer than are to be compared.",
                request.target, written.chunks(), world_.host_name);
  }
  ProveReply reply;
  for (std::size_t i = 0; i < request.names.size(); ++i) {
    const content::Name name = written.name(request.first + i);
    if (name == content::kUnknownName)
      ++reply.unproven;
    else if (name != request.names[i])
      reply.different.push_back(request.first + i);
  }
  if (!written.complete()) reply.text = "the record of what was written was not finished";
  if (!reply.different.empty()) {
    log::error("Move {} of {}: {} MiB of disk {} are not what {} has.", entry.job.move_id,
               entry.job.plan.vm.name, reply.different.size(), request.target, entry.job.peer);
  }
  return to_json(reply);
}

}  // namespace drover::move
