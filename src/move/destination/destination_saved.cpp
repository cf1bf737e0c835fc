// SPDX-License-Identifier: Apache-2.0
// The memory of a VM that is off, on its way to where the hypervisor here looks for it. Until the
// VM is accepted it lies beside that place, by the name that a file has in quarantine; it is at its
// place before the VM is defined, so that nobody boots the VM without it.
#include <algorithm>
#include <filesystem>

#include "base/log.h"
#include "hypervisor/allowed_folder.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/saved_memory.h"
#include "move/cold/cold_files.h"
#include "move/destination/destination_side.h"
#include "preflight/codes.h"
#include "preflight/finding.h"

namespace drover::move {
namespace {

// A peer calls the VM as it likes: no other place may come of it.
Result<std::string> place_in(Hypervisor& hypervisor, const std::string& vm_name) {
  const std::string place = saved_memory_file(hypervisor, vm_name);
  if (place.empty())
    return fail(ErrorCode::kHypervisor, "The hypervisor here keeps no memory of VMs that are off.");
  if (!is_plain_path(place) || vm_name.contains('/'))
    return fail(ErrorCode::kPolicy, "{} is no name for a file.", vm_name);
  return place;
}

}  // namespace

std::string DestinationSide::made_at(const DestinationJob& job, const KnownFile& file) {
  return file.target == kItemSaved ? quarantine_path(file.path, job.move_id) : file.path;
}

DestinationSide::MemoryFile DestinationSide::memory_file(const Plan& plan,
                                                         const CarrierName& name) const {
  if (plan.kind == MoveKind::kQuick)
    return {world_.carriage.state_file(name), state_bytes_max(plan.vm.memory)};
  const std::string place = saved_memory_file(world_.hypervisor, plan.vm.name);
  if (!carries_saved_memory(plan) || place.empty()) return {};
  return {quarantine_path(place, name.move_id), state_bytes_max(plan.vm.memory)};
}

void DestinationSide::look_at_saved(const preflight::Proposal& proposal,
                                    preflight::DestinationReport& report) const {
  if (proposal.request.kind != MoveKind::kOffline || !proposal.vm.saved) return;
  const auto block = [&](std::string what, std::string why, std::string fix) {
    report.findings.push_back({std::string(preflight::code_name(preflight::Code::kVmSaved)),
                               FindingLevel::kBlocker,
                               proposal.vm.name,
                               std::move(what),
                               std::move(why),
                               {std::move(fix)}});
  };
  const auto place = place_in(world_.hypervisor, proposal.vm.name);
  if (place && check_nothing_at(*place)) return;
  if (!place) {
    return block(
        fmt::format("{} cannot keep the memory of {}.", report.host.name, proposal.vm.name),
        place.error().text(),
        fmt::format("virsh start {}, and move it while it runs",
                    preflight::word(proposal.vm.name)));
  }
  block(fmt::format("{} exists on {} already.", *place, report.host.name),
        "It is memory that a VM of this name had there; Drover never overwrites a file.",
        fmt::format("If nothing needs it, on {0}: mv {1} {1}.old", report.host.name,
                    preflight::word(*place)));
}

// Two streams, as a guest's that is saved for its move: what stands before its pages is no page.
Status DestinationSide::make_saved_file(Entry& entry, std::vector<FileSink::Slot>& slots) {
  if (!carries_saved_memory(entry.job.plan)) return {};
  ASSIGN_OR_RETURN(const std::string place, place_in(world_.hypervisor, entry.job.plan.vm.name));
  RETURN_IF_ERROR(check_nothing_at(place));
  ASSIGN_OR_RETURN(FileSink::Slot head,
                   make_cold_file(entry, std::string(kItemSaved), place, {kStateHeadMax}));
  head.item = kItemSavedHead;
  head.kind = FileSink::Slot::Kind::kHashedPart;
  FileSink::Slot rest{std::string(kItemSaved), head.file.duplicate(),
                      state_bytes_max(entry.job.plan.vm.memory), FileSink::Slot::Kind::kHashedPart,
                      head.path};
  slots.push_back(std::move(head));
  slots.push_back(std::move(rest));
  return {};
}

// It is what was sent, and goes on with the definition that was allowed here, whatever it came
// with. Nothing was accepted yet.
Status DestinationSide::take_saved(Entry& entry, const ArriveRequest& request) {
  const auto made = std::ranges::find(entry.job.created, kItemSaved, &KnownFile::target);
  if (made == entry.job.created.end()) return {};
  for (std::size_t i = 0; i < request.files.size(); ++i) {
    const auto& file = request.files[i];
    if (file.item != kItemSavedHead && file.item != kItemSaved) continue;
    if (entry.sink->sha256(i) != file.sha256) {
      return fail(ErrorCode::kCorrupt, "The saved memory of {} is not what was sent.",
                  entry.job.plan.vm.name);
    }
  }
  const std::string path = made_at(entry.job, *made);
  ASSIGN_OR_RETURN(SavedMemory* const keeper, saved_memory_of(world_.hypervisor));
  return define_saved_for_good(*keeper, path, entry.job.destination_xml);
}

// Accepted, and not defined yet. Safe to repeat.
Status DestinationSide::place_saved(Entry& entry) {
  const auto made = std::ranges::find(entry.job.created, kItemSaved, &KnownFile::target);
  if (made == entry.job.created.end()) return {};
  const Status placed = restore_image(made->path, identity_of(*made), entry.job.move_id);
  if (placed) return {};
  const ErrorCode why = placed.error().code;
  if (why != ErrorCode::kConflict && why != ErrorCode::kNotFound) return placed;
  entry.refused_because = placed.error().text();
  return give_back(entry);
}

// The VM will not be started here by this move. Safe to repeat.
Status DestinationSide::put_saved_aside(Entry& entry) {
  const auto made = std::ranges::find(entry.job.created, kItemSaved, &KnownFile::target);
  if (made == entry.job.created.end() || made->inode == 0) return {};
  const auto aside = quarantine_image(made->path, identity_of(*made), entry.job.move_id);
  if (aside || aside.error().code == ErrorCode::kNotFound ||
      aside.error().code == ErrorCode::kConflict) {
    return {};  // what lies there is not ours
  }
  return std::unexpected(aside.error());
}

}  // namespace drover::move
