// SPDX-License-Identifier: Apache-2.0
#include "archive/import_plan.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "archive/file_use.h"
#include "archive/import_checkpoints.h"
#include "archive/import_places.h"
#include "archive/import_source.h"
#include "gate/definition_policy.h"
#include "hypervisor/adapt_definition.h"
#include "hypervisor/allowed_folder.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/new_identity.h"
#include "hypervisor/saved_memory.h"
#include "hypervisor/stray_image.h"
#include "hypervisor/tpm_state.h"
#include "preflight/import.h"
#include "preflight/local_files.h"
#include "preflight/placement.h"

namespace drover::archive {
namespace {

constexpr int kCopiesTried = 1000;

Status check_request(const ArchiveRequest& request) {
  if (!request.name.empty() && request.mode != ImportMode::kCopy) {
    return fail(ErrorCode::kInvalidArgument,
                "Only a copy gets another name: --copy --name {}. To rename a VM: virsh domrename.",
                request.name);
  }
  if (!request.name.empty() && !is_vm_name(request.name)) {
    return fail(
        ErrorCode::kInvalidArgument,
        "A VM cannot be called \"{}\": 1 to 64 bytes, no slash, not beginning with a dot or "
        "a dash.",
        request.name);
  }
  if (!request.disks_to.empty() && request.mode == ImportMode::kRegister) {
    return fail(ErrorCode::kInvalidArgument,
                "--register uses the images where they lie; to have them elsewhere: --restore.");
  }
  return {};
}

// One import, as it is put together.
struct Draft {
  move::World& world;
  const ArchiveRequest& request;
  const std::string& tpm_folder;
  HostFacts host;  // with settings
  std::vector<std::string> folders;
  ImportSource source;
  std::string definition;
  std::string memory;       // the definition that its memory goes on with; empty: none is imported
  std::string memory_file;  // where that goes
  std::string memory_left;  // why the folder's is not imported; empty: it is, or there is none
  preflight::ImportView view;
};

Result<std::string> free_name(Hypervisor& hypervisor, const std::string& name) {
  for (int i = 1; i < kCopiesTried; ++i) {
    const std::string tried = i == 1 ? name + "-copy" : fmt::format("{}-copy{}", name, i);
    const auto found = hypervisor.find_vm(tried);
    if (!found && found.error().code == ErrorCode::kNotFound) return tried;
    if (!found) return std::unexpected(found.error());
  }
  return fail(ErrorCode::kConflict, "There are too many copies of {}: name this one with --name.",
              name);
}

Status give_identity(Draft& draft) {
  ASSIGN_OR_RETURN(const DomainFacts domain, parse_domain(draft.source.definition));
  draft.definition = draft.source.definition;
  if (draft.request.mode == ImportMode::kCopy) {
    std::string name = draft.request.name;
    if (name.empty()) {
      ASSIGN_OR_RETURN(name, free_name(draft.world.hypervisor, domain.vm.name));
    }
    ASSIGN_OR_RETURN(draft.definition, with_identity(draft.definition, name, random_uuid()));
  } else if (domain.vm.uuid.empty()) {
    ASSIGN_OR_RETURN(draft.definition, with_uuid(draft.definition, random_uuid()));
  } else if (!is_uuid(domain.vm.uuid)) {
    return fail(ErrorCode::kInvalidArgument, "{} is no UUID.", domain.vm.uuid);
  }
  return {};
}

// The memory is that of a VM of this name and UUID, with these disks.
Status take_memory(Draft& draft) {
  if (draft.source.memory_definition.empty()) return {};
  if (draft.request.mode == ImportMode::kCopy) {
    draft.memory_left = "It is that of another VM than the copy will be.";
    return {};
  }
  ASSIGN_OR_RETURN(const DomainFacts domain, parse_domain(draft.definition));
  const auto memory = parse_domain(draft.source.memory_definition);
  const bool same = memory && memory->vm.uuid == domain.vm.uuid &&
                    memory->vm.name == domain.vm.name && same_disks(*memory, domain);
  if (!same) {
    draft.source.damaged.push_back("The memory is that of another VM than the definition.");
    return {};
  }
  draft.memory_file = saved_memory_file(draft.world.hypervisor, domain.vm.name);
  if (!is_vm_name(domain.vm.name) || !is_plain_path(draft.memory_file)) {
    draft.memory_left = "The hypervisor here keeps no memory of a VM of this name.";
    return {};
  }
  draft.memory = draft.source.memory_definition;
  return {};
}

// A medium stays in its drive if this host has it, where images may lie.
Result<std::string> eject_media(const Draft& draft, const std::string& definition,
                                std::vector<std::string>& ejected) {
  ASSIGN_OR_RETURN(const DomainFacts domain, parse_domain(definition));
  std::vector<std::string> targets;
  for (const DiskFacts& facts : domain.disks) {
    const Disk& disk = facts.disk;
    if (disk.device != DiskDevice::kCdrom && disk.device != DiskDevice::kFloppy) continue;
    if (disk.path.empty() && disk.kind == DiskKind::kFile) continue;  // empty
    if (disk.kind == DiskKind::kFile && is_allowed(disk.path, draft.folders) &&
        preflight::file_readable(disk.path)) {
      continue;
    }
    targets.push_back(disk.target);
    ejected.push_back(
        fmt::format("{} ({})", disk.path.empty() ? "A medium" : disk.path, disk.target));
  }
  return without_media(definition, targets);
}

Status eject_media(Draft& draft) {
  ASSIGN_OR_RETURN(draft.definition, eject_media(draft, draft.definition, draft.view.ejected));
  if (draft.memory.empty()) return {};
  std::vector<std::string> said;  // of the definition already
  ASSIGN_OR_RETURN(draft.memory, eject_media(draft, draft.memory, said));
  return {};
}

std::string own_name(const Draft& draft, const DomainFacts& domain, const DiskFacts& disk) {
  const std::string own = std::filesystem::path(disk.disk.path).filename().string();
  const bool keeps =
      draft.request.mode == ImportMode::kRestore && disk.disk.kind == DiskKind::kFile;
  if (keeps && !own.empty()) return own;
  return fmt::format("{}-{}{}", domain.vm.name, disk.disk.target,
                     disk.disk.format == "raw" ? ".img" : "." + disk.disk.format);
}

// Its own image, and those that it is based on.
Status look_at_images(Draft& draft, const std::string& target) {
  for (const ArchiveItem& item : draft.source.items) {
    const auto name = item.format.empty() ? std::nullopt : image_name(item.item);
    if (!name || name->target != target) continue;
    ASSIGN_OR_RETURN(const UniqueFd file, draft.source.folder.file(item.file));
    const std::string path = draft.source.folder.path() + "/" + item.file;
    preflight::ImportedDisk image{
        item.item,   item.file,         path,
        item.format, item.virtual_size, stray_image_facts(file.get(), path, item.format)};
    if (const ArchiveItem* const below = item_below(draft.source.items, item.item)) {
      image.below = below->file;
      image.below_format = below->format;
    }
    draft.view.disks.push_back(std::move(image));
  }
  return {};
}

// Every disk that an export takes along, and no other, has to be in the folder: else the VM would
// use whatever lies at that path here.
Status match_disks(Draft& draft, const DomainFacts& domain, std::vector<DiskPlacement>& named) {
  std::set<std::string> wanted;
  const std::string& folder = draft.source.folder.path();
  for (const DiskFacts& facts : domain.disks) {
    const Disk& disk = facts.disk;
    if (disk.device != DiskDevice::kDisk || disk.read_only || disk.shareable) continue;
    wanted.insert(disk.target);
    const auto item = std::ranges::find(draft.source.items, disk.target, &ArchiveItem::item);
    if (item == draft.source.items.end()) {
      if (draft.source.damaged.empty())
        draft.source.damaged.push_back(fmt::format("There is no image of {}.", disk.target));
      continue;
    }
    if (item->format != disk.format) {
      draft.source.damaged.push_back(
          fmt::format("{} is {}; the definition says {}.", item->file, item->format, disk.format));
    }
    RETURN_IF_ERROR(look_at_images(draft, disk.target));
    const std::string path = folder + "/" + item->file;
    DiskPlacement placement;
    placement.target = disk.target;
    placement.destination_path = draft.request.mode == ImportMode::kRegister
                                     ? path
                                     : folder + "/" + own_name(draft, domain, facts);
    named.push_back(std::move(placement));
  }
  for (const ArchiveItem& item : draft.source.items) {
    const auto name = item.format.empty() ? std::nullopt : image_name(item.item);
    if (name && !wanted.contains(name->target))
      draft.source.damaged.push_back(fmt::format("The definition has no disk {}.", item.item));
  }
  return {};
}

std::string nvram_path(const Draft& draft, const DomainFacts& domain) {
  if (domain.vm.nvram_path.empty()) return {};
  const auto item = std::ranges::find(draft.source.items, kNvramItem, &ArchiveItem::item);
  switch (draft.request.mode) {
    case ImportMode::kRegister:
      if (item != draft.source.items.end()) return draft.source.folder.path() + "/" + item->file;
      break;
    case ImportMode::kCopy:
      return fmt::format("{}/{}_VARS.fd", preflight::kNvramFolder, domain.vm.name);
    case ImportMode::kRestore:
      break;
  }
  return domain.vm.nvram_path;
}

Status name_files(Draft& draft) {
  ASSIGN_OR_RETURN(const DomainFacts domain, parse_domain(draft.definition));
  std::vector<DiskPlacement> named;
  RETURN_IF_ERROR(match_disks(draft, domain, named));
  const std::string nvram = nvram_path(draft, domain);
  ASSIGN_OR_RETURN(draft.definition, adapt_definition(draft.definition, named, nvram));
  if (draft.memory.empty()) return {};
  ASSIGN_OR_RETURN(draft.memory, adapt_definition(draft.memory, named, nvram));
  return {};
}

// Of files that are used where they lie.
Status find_users(Draft& draft) {
  if (draft.request.mode != ImportMode::kRegister) return {};
  for (const ArchiveItem& item : draft.source.items) {
    const std::string path = draft.source.folder.path() + "/" + item.file;
    ASSIGN_OR_RETURN(const std::string user, user_of(draft.world.hypervisor, path));
    if (!user.empty()) draft.view.users[path] = user;
  }
  return {};
}

// The state of a TPM goes where libvirt looks for it, under a name that says of which kind it is.
Status check_tpm(Draft& draft) {
  const auto state = std::ranges::find(draft.source.items, kTpmItem, &ArchiveItem::item);
  if (state == draft.source.items.end()) return {};
  if (tpm_state_place(draft.tpm_folder, "", state->file).empty())
    return fail(ErrorCode::kPolicy, "{} is no name of a TPM's state.", state->file);
  if (!keeps_tpm_state(draft.definition))
    draft.source.damaged.push_back("There is the state of a TPM; the definition has none.");
  return {};
}

void describe(Draft& draft, const std::vector<Vm>& elsewhere) {
  preflight::ImportView& view = draft.view;
  view.request = draft.request;
  view.request.folder = draft.source.folder.path();
  view.host = draft.world.host_name;
  view.definition = draft.definition;
  view.memory_definition = draft.memory;
  view.memory_left = draft.memory_left;
  view.has_manifest = draft.source.manifest.has_value();
  view.damaged = draft.source.damaged;
  view.elsewhere = elsewhere;
  for (const ArchiveItem& item : draft.source.items) {
    if (is_checkpoint_memory(item.item) && draft.request.mode == ImportMode::kRestore)
      view.checkpoint_memory += item.size;
  }
  view.source.name = view.host;
  if (!draft.source.manifest) return;
  view.source.name = draft.source.manifest->host;
  view.source.libvirt_version = draft.source.manifest->libvirt_version;
  view.source.qemu_version = draft.source.manifest->qemu_version;
}

// Files that are made by us alone, in places that the checks of a destination do not know.
void check_places(const Draft& draft, const std::vector<ArchiveItem>& items,
                  std::vector<Finding>& findings) {
  for (const ArchiveItem& item : items) {
    const auto name = item.format.empty() ? std::nullopt : image_name(item.item);
    const bool layer = name && name->layer != 0;
    const bool made = item.item == kTpmItem || is_memory(item.item) ||
                      (layer && draft.request.mode != ImportMode::kRegister);
    if (!made || !preflight::path_taken(item.path)) continue;
    findings.push_back(preflight::place_taken(draft.view, item));
  }
}

// In its place it goes on with the definition that was allowed here; where it lies, with its own.
std::string checkpoint_memory_left(ImportMode mode) {
  switch (mode) {
    case ImportMode::kRestore:
      return {};
    case ImportMode::kCopy:
      return "Its memory is that of another VM than the copy will be.";
    case ImportMode::kRegister:
      return "Its memory goes on with the disks as they were named where it was made: import it "
             "with --restore.";
  }
  DROVER_CHECK(false);
}

// `definition`: the VM's, as it will be.
void take_checkpoints(const Draft& draft, const std::string& definition, PlannedImport& planned,
                      std::vector<Finding>& findings) {
  if (!draft.source.manifest || draft.source.manifest->checkpoints.empty()) return;
  CheckpointsToImport from;
  from.texts = draft.source.manifest->checkpoints;
  for (const ArchiveItem& item : planned.archive.items) {
    const auto former = draft.source.former_paths.find(item.item);
    if (former == draft.source.former_paths.end()) continue;
    from.paths[former->second] = item.path;
    if (is_checkpoint_memory(item.item)) from.memories.insert(item.path);
  }
  from.before = draft.source.definition;
  from.now = definition;
  from.new_identity = draft.request.mode == ImportMode::kCopy;
  from.memory_left = checkpoint_memory_left(draft.request.mode);
  auto taken = import_checkpoints(from, draft.host, draft.host.settings);
  if (taken)
    planned.checkpoints = std::move(*taken);
  else
    findings.push_back(preflight::checkpoints_refused(draft.view, taken.error().text()));
}

// Memory of checkpoints of which none needs it.
void leave_memories(PlannedImport& planned) {
  std::set<std::string> needed;
  for (const CheckpointText& text : planned.checkpoints) {
    if (const auto checkpoint = parse_checkpoint(text)) needed.insert(checkpoint->memory_file);
  }
  std::erase_if(planned.archive.items, [&](const ArchiveItem& item) {
    return is_checkpoint_memory(item.item) && !needed.contains(item.path);
  });
}

ByteCount allocated(const Draft& draft, const std::string& image) {
  const auto found = std::ranges::find(draft.view.disks, image, &preflight::ImportedDisk::target);
  const bool seen = found != draft.view.disks.end() && found->facts.has_value();
  return seen ? found->facts->allocated : ByteCount{};
}

bool has_blocker(const std::vector<Finding>& findings) {
  return std::ranges::any_of(
      findings, [](const Finding& finding) { return finding.level == FindingLevel::kBlocker; });
}

Result<PlannedImport> judge(Draft& draft) {
  ASSIGN_OR_RETURN(auto report, preflight::check_import(draft.view, draft.world.hypervisor,
                                                        draft.host.settings));
  ASSIGN_OR_RETURN(const DomainFacts domain, parse_domain(draft.definition));
  ASSIGN_OR_RETURN(const std::string definition,
                   adapt_definition(draft.definition, report.placements, report.nvram_destination));
  ASSIGN_OR_RETURN(const auto refused,
                   refused_references(definition, draft.host, draft.host.settings));
  const auto own = preflight::refused_definition(domain.vm.name, refused);
  report.findings.insert(report.findings.end(), own.begin(), own.end());
  std::string memory_definition;
  if (!draft.memory.empty()) {
    ASSIGN_OR_RETURN(memory_definition,
                     adapt_definition(draft.memory, report.placements, report.nvram_destination));
    ASSIGN_OR_RETURN(const auto refused_there,
                     refused_references(memory_definition, draft.host, draft.host.settings));
    const auto of_memory = preflight::refused_definition(domain.vm.name, refused_there);
    report.findings.insert(report.findings.end(), of_memory.begin(), of_memory.end());
  }

  PlannedImport planned;
  planned.archive.host = draft.world.host_name;
  planned.archive.request = draft.view.request;
  planned.archive.vm_uuid = domain.vm.uuid;
  planned.archive.vm_name = domain.vm.name;
  planned.archive.started_at = std::chrono::system_clock::now();
  planned.has_manifest = draft.view.has_manifest;
  planned.archive.items =
      place_items(draft.source, {draft.request.mode, domain.vm.name, domain.vm.uuid,
                                 report.placements, report.nvram_destination, draft.tpm_folder,
                                 draft.memory.empty() ? std::string() : draft.memory_file});
  take_checkpoints(draft, definition, planned, report.findings);
  leave_memories(planned);
  for (const ArchiveItem& item : planned.archive.items) {
    if (!item.format.empty()) planned.archive.bytes_total += allocated(draft, item.item);
    if (is_memory(item.item)) planned.archive.bytes_total += item.size;
  }
  check_places(draft, planned.archive.items, report.findings);
  preflight::sort_findings(report.findings);
  planned.archive.findings = std::move(report.findings);
  if (has_blocker(planned.archive.findings)) return planned;
  planned.definition = definition;
  planned.memory_definition = std::move(memory_definition);
  return planned;
}

}  // namespace

Result<PlannedImport> plan_import(move::World& world, const ArchiveRequest& request,
                                  const std::string& tpm_folder, const std::vector<Vm>& elsewhere) {
  RETURN_IF_ERROR(check_request(request));
  ASSIGN_OR_RETURN(HostFacts host, world.hypervisor.host_facts());
  host.name = world.host_name;
  host.settings = world.book.settings();
  auto folders = preflight::usable_folders(host, host.settings);
  ASSIGN_OR_RETURN(ImportSource source, read_import(request.folder, folders));
  Draft draft{
      world, request, tpm_folder, std::move(host), std::move(folders), std::move(source), {}, {},
      {},    {},      {}};
  RETURN_IF_ERROR(give_identity(draft));
  RETURN_IF_ERROR(take_memory(draft));
  RETURN_IF_ERROR(eject_media(draft));
  RETURN_IF_ERROR(name_files(draft));
  RETURN_IF_ERROR(check_tpm(draft));
  RETURN_IF_ERROR(find_users(draft));
  describe(draft, elsewhere);
  return judge(draft);
}

Result<std::vector<std::string>> refused_references(std::string_view definition,
                                                    const HostFacts& host,
                                                    const HostSettings& settings) {
  gate::AdministratorRules rules;
  rules.disk_folders = preflight::usable_folders(host, settings);
  rules.nvram_folders.insert(rules.nvram_folders.end(), rules.disk_folders.begin(),
                             rules.disk_folders.end());
  rules.bridges = host.networks.bridges;
  rules.networks = host.networks.active_networks;
  for (const PoolFacts& pool : host.pools) {
    if (pool.active) rules.volume_pools.push_back(pool.name);
  }
  ASSIGN_OR_RETURN(const auto violations,
                   gate::check_definition(definition, rules, gate::no_links_beneath));
  std::vector<std::string> all;
  for (const gate::Violation& violation : violations)
    all.push_back(gate::violations_text(std::span(&violation, 1)));
  return all;
}

}  // namespace drover::archive
