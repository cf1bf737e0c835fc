// SPDX-License-Identifier: Apache-2.0
#include "archive/export_plan.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <sys/stat.h>

#include "archive/manifest.h"
#include "hypervisor/adapt_definition.h"
#include "hypervisor/allowed_folder.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/saved_memory.h"
#include "hypervisor/tpm_state.h"

namespace drover::archive {
namespace {

bool same_disks(const std::string& one, const std::string& other) {
  const auto a = parse_domain(one), b = parse_domain(other);
  return a && b && drover::same_disks(*a, *b);
}

struct Definitions {
  std::string disks;  // whose disks are exported
  std::string kept;   // which goes into the folder
  std::string next;   // of the next boot; empty: there is none
};

// What the VM would be at its next boot is what is exported, unless that has other disks.
Result<Definitions> definitions(Hypervisor& hypervisor, const Vm& vm) {
  Definitions found;
  if (vm.persistent) {
    ASSIGN_OR_RETURN(found.next, hypervisor.definition(vm.uuid, DefinitionKind::kPersistent));
  }
  found.disks = found.kept = found.next;
  if (vm.state != VmState::kOff) {
    ASSIGN_OR_RETURN(found.disks, hypervisor.definition(vm.uuid, DefinitionKind::kLive));
    if (found.kept.empty() || !same_disks(found.disks, found.kept)) found.kept = found.disks;
  }
  return found;
}

std::string file_of(const std::string& item, const std::string& format) {
  return item + (format == "raw" ? ".img" : "." + format);
}

void list_items(PlannedExport& planned) {
  for (const preflight::ExportedDisk& disk : planned.disks) {
    planned.archive.items.push_back({disk.target, file_of(disk.target, disk.format), disk.path,
                                     disk.format, disk.virtual_size, disk.allocated, ""});
    planned.archive.bytes_total += disk.allocated;
    if (!preflight::keeps_layers(disk.way)) continue;
    for (unsigned i = 0; i < disk.layers.size(); ++i) {
      const DiskLayer& layer = disk.layers[i];
      const std::string item = image_item(disk.target, i + 1);
      planned.archive.items.push_back({item, file_of(item, layer.format), layer.path, layer.format,
                                       layer.virtual_size, layer.allocated, ""});
    }
  }
  if (!planned.tpm_state.empty()) {
    const std::string file = std::filesystem::path(planned.tpm_state).filename().string();
    planned.archive.items.push_back(
        {std::string(kTpmItem), file, planned.tpm_state, "", {}, {}, ""});
  }
  if (!planned.nvram.empty()) {
    planned.archive.items.push_back(
        {std::string(kNvramItem), "nvram.fd", planned.nvram, "", {}, {}, ""});
  }
  if (planned.memory) {
    planned.archive.items.push_back(
        {std::string(kMemoryItem), std::string(kMemoryName), "", "", {}, {}, ""});
    planned.archive.items.push_back({std::string(kMemoryDefinitionItem),
                                     std::string(kMemoryDefinitionName),
                                     "",
                                     "",
                                     {},
                                     {},
                                     ""});
  }
  for (unsigned i = 0; i < planned.memories.size(); ++i) {
    const preflight::CheckpointMemory& memory = planned.memories[i];
    planned.archive.items.push_back({checkpoint_memory_item(i + 1),
                                     fmt::format("checkpoint.{}.save", i + 1),
                                     memory.path,
                                     "",
                                     {},
                                     {},
                                     ""});
    planned.archive.bytes_total += memory.size;
  }
  planned.archive.items.push_back({std::string(kDefinitionItem),
                                   std::string(kDefinitionName),
                                   "",
                                   "",
                                   {},
                                   {planned.definition.size()},
                                   ""});
}

// Its memory, which goes on with these disks and no others.
Status look_at_memory(Hypervisor& hypervisor, const Definitions& found,
                      preflight::ExportView& view) {
  if (!view.vm.saved) return {};
  const std::string file = saved_memory_file(hypervisor, view.vm.name);
  ASSIGN_OR_RETURN(SavedMemory* const keeper, saved_memory_of(hypervisor));
  const auto definition = keeper->saved_definition(file);
  struct stat facts{};
  if (::stat(file.c_str(), &facts) != 0)
    view.memory_error = fmt::format("{}: {}", file, std::strerror(errno));
  else if (!definition)
    view.memory_error = definition.error().text();
  else if (!same_disks(*definition, found.disks))
    view.memory_error = "It was saved with other disks than the VM has now.";
  else
    view.saved_memory = file;
  view.saved_bytes = {static_cast<std::uint64_t>(facts.st_size)};
  return {};
}

}  // namespace

Result<std::string> whole_disks(const std::string& definition,
                                const std::vector<preflight::ExportedDisk>& disks) {
  std::vector<DiskPlacement> placements;
  for (const preflight::ExportedDisk& disk : disks) {
    DiskPlacement placement;
    placement.target = disk.target;
    placement.destination_path = disk.path;
    placements.push_back(std::move(placement));
  }
  return adapt_definition(definition, placements, "");
}

Result<PlannedExport> plan_export(move::World& world, const ArchiveRequest& request,
                                  const std::string& tpm_folder, const JobOfVm& busy) {
  if (!is_plain_path(request.folder)) {
    return fail(ErrorCode::kInvalidArgument,
                "{} is no folder: name it by its whole path, without \"..\" and without a slash at "
                "its end.",
                request.folder);
  }
  preflight::ExportView view;
  ASSIGN_OR_RETURN(view.vm, world.hypervisor.find_vm(request.vm));
  view.vm.host = world.host_name;
  view.vm.move_id = busy(view.vm.uuid);
  view.request = request;
  ASSIGN_OR_RETURN(view.host, world.hypervisor.host_facts());
  view.host.name = world.host_name;
  view.host.settings = world.book.settings();
  ASSIGN_OR_RETURN(const Definitions found, definitions(world.hypervisor, view.vm));
  view.xml = found.disks;
  view.tpm_kept = keeps_tpm_state(found.kept);
  if (view.tpm_kept) view.tpm_state = tpm_state_of(tpm_folder, view.vm.uuid);
  if (view.vm.snapshots != 0) {
    // What cannot be read is not exported, and the plan says so.
    if (auto texts = world.hypervisor.checkpoints(view.vm.uuid); texts)
      view.checkpoints = std::move(*texts);
  }
  RETURN_IF_ERROR(look_at_memory(world.hypervisor, found, view));
  ASSIGN_OR_RETURN(auto report, preflight::check_export(view));

  PlannedExport planned;
  planned.archive.host = world.host_name;
  planned.archive.request = request;
  planned.archive.vm_uuid = view.vm.uuid;
  planned.archive.vm_name = view.vm.name;
  planned.archive.findings = std::move(report.findings);
  planned.archive.started_at = std::chrono::system_clock::now();
  planned.disks = std::move(report.disks);
  planned.checkpoints = std::move(report.checkpoints);
  planned.memories = std::move(report.memories);
  planned.nvram = view.vm.nvram_path;
  planned.tpm_state = view.tpm_state;
  planned.snapshots = view.vm.snapshots;
  planned.running = view.vm.state != VmState::kOff;
  planned.saved_memory = view.saved_memory;
  planned.memory = planned.running ? request.memory : !view.saved_memory.empty();
  planned.archive.bytes_total += planned.saved_memory.empty() ? ByteCount{} : view.saved_bytes;
  planned.libvirt_version = view.host.libvirt_version;
  planned.qemu_version = view.host.qemu_version;
  planned.seen_xml = found.disks;
  planned.seen_next = found.next;
  ASSIGN_OR_RETURN(planned.definition, whole_disks(found.kept, planned.disks));
  list_items(planned);
  if (planned.archive.items.size() > kItemsMax) {
    return fail(ErrorCode::kInvalidArgument,
                "{} would be exported in {} files; a folder has at most {}. Fix: delete snapshots "
                "that are not needed any more.",
                planned.archive.vm_name, planned.archive.items.size(), kItemsMax);
  }
  return planned;
}

Status check_unchanged(Hypervisor& hypervisor, const PlannedExport& planned) {
  const Archive& archive = planned.archive;
  ASSIGN_OR_RETURN(const Vm now, hypervisor.find_vm(archive.vm_uuid));
  const bool runs = now.state != VmState::kOff;
  if (runs != planned.running) {
    return fail(ErrorCode::kConflict, "{} was {} meanwhile.", archive.vm_name,
                runs ? "started" : "ended");
  }
  ASSIGN_OR_RETURN(const Definitions found, definitions(hypervisor, now));
  const bool same = found.next == planned.seen_next && same_disks(found.disks, planned.seen_xml) &&
                    now.snapshots == planned.snapshots;
  if (same && now.saved == !planned.saved_memory.empty()) return {};
  return fail(ErrorCode::kConflict, "{} was changed meanwhile. Begin the export anew.",
              archive.vm_name);
}

}  // namespace drover::archive
