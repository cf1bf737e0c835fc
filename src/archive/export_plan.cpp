// SPDX-License-Identifier: Apache-2.0
#include "archive/export_plan.h"

#include <algorithm>

#include "archive/manifest.h"
#include "hypervisor/adapt_definition.h"
#include "hypervisor/allowed_folder.h"
#include "hypervisor/domain_xml.h"

namespace drover::archive {
namespace {

// The same disks in the same files.
bool same_disks(const std::string& one, const std::string& other) {
  const auto a = parse_domain(one), b = parse_domain(other);
  if (!a || !b) return false;
  const auto files = [](const DomainFacts& facts) {
    std::vector<std::pair<std::string, std::string>> all;
    for (const DiskFacts& disk : facts.disks) {
      if (disk.disk.device == DiskDevice::kDisk)
        all.emplace_back(disk.disk.target, disk.disk.path.empty() ? disk.volume : disk.disk.path);
    }
    std::ranges::sort(all);
    return all;
  };
  return files(*a) == files(*b);
}

struct Definitions {
  std::string disks;  // whose disks are exported
  std::string kept;   // which goes into the folder
};

// What the VM would be at its next boot is what is exported, unless that has other disks.
Result<Definitions> definitions(Hypervisor& hypervisor, const Vm& vm) {
  Definitions found;
  if (vm.persistent) {
    ASSIGN_OR_RETURN(found.kept, hypervisor.definition(vm.uuid, DefinitionKind::kPersistent));
  }
  found.disks = found.kept;
  if (vm.state != VmState::kOff) {
    ASSIGN_OR_RETURN(found.disks, hypervisor.definition(vm.uuid, DefinitionKind::kLive));
    if (found.kept.empty() || !same_disks(found.disks, found.kept)) found.kept = found.disks;
  }
  return found;
}

std::string file_of(const preflight::ExportedDisk& disk) {
  return disk.target + (disk.format == "raw" ? ".img" : "." + disk.format);
}

// Each exported disk is one file without others below it.
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

void list_items(PlannedExport& planned) {
  for (const preflight::ExportedDisk& disk : planned.disks) {
    planned.archive.items.push_back({disk.target, file_of(disk), disk.path, disk.format,
                                     disk.virtual_size, disk.allocated, ""});
    planned.archive.bytes_total += disk.allocated;
  }
  if (!planned.nvram.empty()) {
    planned.archive.items.push_back(
        {std::string(kNvramItem), "nvram.fd", planned.nvram, "", {}, {}, ""});
  }
  planned.archive.items.push_back({std::string(kDefinitionItem),
                                   std::string(kDefinitionName),
                                   "",
                                   "",
                                   {},
                                   {planned.definition.size()},
                                   ""});
}

}  // namespace

Result<PlannedExport> plan_export(move::World& world, const ArchiveRequest& request,
                                  const std::string& busy) {
  if (!is_plain_path(request.folder)) {
    return fail(ErrorCode::kInvalidArgument,
                "{} is no folder: name it by its whole path, without \"..\" and without a slash at "
                "its end.",
                request.folder);
  }
  preflight::ExportView view;
  ASSIGN_OR_RETURN(view.vm, world.hypervisor.find_vm(request.vm));
  view.vm.host = world.host_name;
  view.vm.move_id = busy;
  view.request = request;
  ASSIGN_OR_RETURN(view.host, world.hypervisor.host_facts());
  view.host.name = world.host_name;
  view.host.settings = world.book.settings();
  ASSIGN_OR_RETURN(const Definitions found, definitions(world.hypervisor, view.vm));
  view.xml = found.disks;
  ASSIGN_OR_RETURN(auto report, preflight::check_export(view));

  PlannedExport planned;
  planned.archive.host = world.host_name;
  planned.archive.request = request;
  planned.archive.vm_uuid = view.vm.uuid;
  planned.archive.vm_name = view.vm.name;
  planned.archive.findings = std::move(report.findings);
  planned.archive.started_at = std::chrono::system_clock::now();
  planned.disks = std::move(report.disks);
  planned.nvram = view.vm.nvram_path;
  planned.running = view.vm.state != VmState::kOff;
  planned.libvirt_version = view.host.libvirt_version;
  planned.qemu_version = view.host.qemu_version;
  ASSIGN_OR_RETURN(planned.definition, whole_disks(found.kept, planned.disks));
  list_items(planned);
  return planned;
}

}  // namespace drover::archive
