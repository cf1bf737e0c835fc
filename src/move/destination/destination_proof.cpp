// SPDX-License-Identifier: Apache-2.0
// The destination's side of a move's proof (docs/proof.md): what its mover was given and its
// hypervisor took, and what its disks hold now, compared with what the source's frozen disks hold.
#include <algorithm>

#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "hypervisor/domain_xml.h"
#include "move/cold/cold_files.h"
#include "move/destination/destination_side.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;
using With = ProveRequest::With;

// The mover ends the record when the disk's stream has ended, which was before the switch.
constexpr auto kRecordEnds = 3s;

// libvirt's name of a disk, "virtio-disk0".
Result<std::string> alias_of(Hypervisor& hypervisor, const std::string& uuid,
                             const std::string& target) {
  ASSIGN_OR_RETURN(const std::string xml, hypervisor.definition(uuid, DefinitionKind::kAsItRuns));
  ASSIGN_OR_RETURN(const DomainFacts facts, parse_domain(xml));
  for (const DiskFacts& disk : facts.disks) {
    if (disk.disk.target == target && !disk.alias.empty()) return disk.alias;
  }
  return fail(ErrorCode::kHypervisor, "libvirt says no name of disk {}.", target);
}

bool marked(const std::vector<mover::DirtyRange>& ranges, std::uint64_t block) {
  const std::uint64_t offset = block * content::kBlockBytes;
  return std::ranges::any_of(ranges, [&](const mover::DirtyRange& range) {
    return range.offset < offset + content::kBlockBytes && offset < range.offset + range.length;
  });
}

// What was written is on the disk since verify(): the next to read it shall find it there, not in
// memory. As well as the kernel does it.
void forget_cached(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (file) (void)::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
}

Status check_range(const ProveRequest& request, std::uint64_t parts, const std::string& host) {
  if (request.first <= parts && parts - request.first >= request.names.size()) return {};
  return fail(ErrorCode::kConflict, "Disk {} on {} has fewer parts than are to be compared.",
              request.target, host);
}

}  // namespace

Result<content::WrittenDisk> DestinationSide::read_written(Entry& entry,
                                                           const DiskPlacement& placement) {
  // libvirt names a disk's export by its alias: "drive-virtio-disk0" (facts 2.4).
  std::string name = placement.target;
  if (!is_cold(entry.job.plan)) {
    ASSIGN_OR_RETURN(const std::string alias,
                     alias_of(world_.hypervisor, entry.job.plan.vm.uuid, placement.target));
    name = "drive-" + alias;
  }
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
  ASSIGN_OR_RETURN(const ProveReply reply, request.with == With::kGiven
                                               ? compare_given(entry, request, *placement)
                                               : compare_read(entry, request, *placement));
  // Chunks that were read may differ by the guest's doing.
  if (!reply.different.empty() && request.with != With::kRead) {
    log::error("Move {} of {}: {} parts of disk {} are not what {} has.", entry.job.move_id,
               entry.job.plan.vm.name, reply.different.size(), request.target, entry.job.peer);
  }
  return to_json(reply);
}

Result<ProveReply> DestinationSide::compare_given(Entry& entry, const ProveRequest& request,
                                                  const DiskPlacement& placement) {
  auto found = entry.written.find(request.target);
  if (found == entry.written.end()) {
    ASSIGN_OR_RETURN(content::WrittenDisk disk, read_written(entry, placement));
    found = entry.written.emplace(request.target, std::move(disk)).first;
  }
  const content::WrittenDisk& written = found->second;
  RETURN_IF_ERROR(check_range(request, written.chunks(), world_.host_name));
  ProveReply reply;
  for (std::size_t i = 0; i < request.names.size(); ++i) {
    const content::Name name = written.name(request.first + i);
    if (name == content::kUnknownName)
      ++reply.unproven;
    else if (name != request.names[i])
      reply.different.push_back(request.first + i);
  }
  if (!written.complete()) reply.text = "the record of what was written was not finished";
  return reply;
}

// Tried twice: what QEMU served may have ended, by whoever's hand.
Result<ProveReply> DestinationSide::compare_read(Entry& entry, const ProveRequest& request,
                                                 const DiskPlacement& placement) {
  if (entry.job.unwatched) {
    return fail(ErrorCode::kNotFound,
                "{} ran on {} before its writes could be watched, for its gate had ended.",
                entry.job.plan.vm.name, world_.host_name);
  }
  const bool began = entry.live != nullptr;
  auto reply = read_and_compare(entry, request, placement);
  if (!reply) entry.live.reset();
  if (!reply && began) reply = read_and_compare(entry, request, placement);
  // Only a libvirtd that is away is worth waiting for.
  if (!reply && reply.error().code == ErrorCode::kUnavailable && world_.hypervisor.connected())
    reply.error().code = ErrorCode::kHypervisor;
  return reply;
}

// The guest runs meanwhile. A block that differs is the guest's doing if it was marked by the time
// that it had been read, for then it was written after the switch.
Result<ProveReply> DestinationSide::read_and_compare(Entry& entry, const ProveRequest& request,
                                                     const DiskPlacement& placement) {
  const std::string& uuid = entry.job.plan.vm.uuid;
  RETURN_IF_ERROR(open_live_disks(entry));
  ASSIGN_OR_RETURN(const std::string alias, alias_of(world_.hypervisor, uuid, request.target));
  RETURN_IF_ERROR(entry.live->find(alias));
  const std::uint64_t blocks = placement.virtual_size.bytes / content::kBlockBytes;
  ProveReply reply;
  if (request.with == With::kReadBlock) {
    RETURN_IF_ERROR(check_range(request, blocks, world_.host_name));
    ASSIGN_OR_RETURN(const auto names,
                     entry.live->names(alias, request.first, request.names.size()));
    if (names == request.names) return reply;
    ASSIGN_OR_RETURN(const auto written,
                     entry.live->written(alias, request.first, request.names.size()));
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (names[i] == request.names[i]) continue;
      if (marked(written, request.first + i))
        ++reply.excluded;
      else
        reply.different.push_back(request.first + i);
    }
    return reply;
  }
  const std::uint64_t chunks = (blocks + content::kChunkBlocks - 1) / content::kChunkBlocks;
  RETURN_IF_ERROR(check_range(request, chunks, world_.host_name));
  for (std::uint64_t chunk = request.first; chunk < request.first + request.names.size(); ++chunk) {
    const std::uint64_t first = chunk * content::kChunkBlocks;
    ASSIGN_OR_RETURN(auto names, entry.live->names(alias, first,
                                                   std::min<std::uint64_t>(blocks - first,
                                                                           content::kChunkBlocks)));
    names.resize(content::kChunkBlocks, content::kZeroName);
    const auto name = content::chunk_name(std::span(names).first<content::kChunkBlocks>());
    if (name != request.names[chunk - request.first]) reply.different.push_back(chunk);
  }
  return reply;
}

Status DestinationSide::open_live_disks(Entry& entry) {
  if (entry.live) return {};
  ASSIGN_OR_RETURN(entry.live,
                   LiveDisks::open(world_.hypervisor, entry.job.plan.vm.uuid, entry.job.move_id,
                                   world_.carriage.paths(entry.name()).disks));
  for (const auto& file : entry.job.created) forget_cached(file.path);
  return {};
}

// The source has found a difference and wants no more: it keeps its disks, and the guest's writes
// need not be watched any longer.
Result<std::string> DestinationSide::unwatch(Entry& entry) {
  end_proof(entry);
  return "{}";
}

// What is left in QEMU costs little, and nothing of it outlives QEMU.
void DestinationSide::end_proof(Entry& entry) {
  entry.live.reset();
  entry.written.clear();
  if (!is_read_back(entry.job.plan)) return;
  if (auto ended = end_watch(world_.hypervisor, entry.job.plan.vm.uuid, entry.job.move_id); !ended)
    log::warning("Move {}: {}", entry.job.move_id, ended.error().text());
}

// libvirt's figure of the pause ends where the gate's hold on the guest begins.
std::chrono::milliseconds DestinationSide::held_by_gate(Entry& entry) {
  const auto gate = entry.carriers ? entry.carriers->gate_state() : GateState{};
  return gate ? gate->held : 0ms;
}

// The gate holds the guest at FINISH until its writes are watched, and then lets it run. One that
// ended in between cannot; nor can one whose connection to libvirtd broke. The record says
// accepted, so the guest belongs here, and waits for nobody else.
void DestinationSide::let_held_guest_run(Entry& entry) {
  const auto& vm = entry.job.plan.vm;
  if (is_cold(entry.job.plan) || !is_read_back(entry.job.plan) || !entry.job.prepared ||
      entry.job.undone || entry.job.undoing || entry.job.settled || entry.resumed_seen ||
      vm.state == VmState::kPaused) {
    return;
  }
  const auto decision = world_.records.decision(entry.key());
  if (!decision || !*decision || **decision != gate::Decision::kAccepted) return;
  const auto outcome = world_.records.outcome(entry.key());
  if (!outcome || (*outcome && (*outcome)->ok)) return;
  if (entry.carriers && entry.carriers->gate_alive()) {
    const auto gate = entry.carriers->gate_state();
    if (!gate || !gate->in_doubt) return;  // it is at work
  }
  const auto state = world_.hypervisor.run_state(vm.uuid);
  if (!state || state->kind != RunState::Kind::kPaused) return;
  // Written down first: a watch that the gate began late would miss what the guest writes now.
  entry.job.unwatched = true;
  if (auto saved = save(entry); !saved) {
    log::error("Move {}: {}", entry.job.move_id, saved.error().text());
    entry.job.unwatched = false;
    return;
  }
  log::warning("Move {}: {} was held at its start, and its gate has ended; it is let run.",
               entry.job.move_id, vm.name);
  if (auto run = world_.hypervisor.resume(vm.uuid); !run)
    log::warning("Move {}: {}", entry.job.move_id, run.error().text());
}

}  // namespace drover::move
