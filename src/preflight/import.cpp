// SPDX-License-Identifier: Apache-2.0
#include "preflight/import.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "hypervisor/domain_xml.h"
#include "preflight/finding.h"
#include "preflight/placement.h"

namespace drover::preflight {
namespace {

bool is(const Finding& finding, Code code) { return finding.code == code_name(code); }

bool is_any(const Finding& finding, std::initializer_list<Code> codes) {
  return std::ranges::any_of(codes, [&](Code code) { return is(finding, code); });
}

// What a destination's checks say of moves only.
void drop_what_is_of_moves(std::vector<Finding>& findings, const ArchiveRequest& request,
                           bool has_memory) {
  std::erase_if(findings, [&](const Finding& finding) {
    // A guest finds its processor when it boots, unless it goes on from its memory.
    if (is(finding, Code::kCpuPassthrough)) return !has_memory;
    if (is_any(finding, {Code::kMigrationDisabled, Code::kTlsForced, Code::kPlacedElsewhere,
                         Code::kMemoryShort})) {
      return true;
    }
    if (request.mode != ImportMode::kRegister) return false;
    // Its images lie there already: nothing is made. Variables that are not in the folder are
    // another matter: those that lie elsewhere are another VM's.
    if (is(finding, Code::kNvramExists)) return folder_of(finding.object) == request.folder;
    return is_any(finding, {Code::kDiskExists, Code::kSpaceShort});
  });
}

// Said of a VM that is about to come; here it is off, and may never be started.
void adapt_words(std::vector<Finding>& findings, const ImportView& view) {
  const std::string folder = word(view.request.folder);
  const std::string copy = fmt::format("drover import {} --copy --name OTHER", folder);
  for (Finding& finding : findings) {
    if (is_any(finding, {Code::kVmLeftover, Code::kUuidTaken, Code::kNameTaken}))
      finding.fixes.insert(finding.fixes.begin(), copy);
    if (is(finding, Code::kDiskExists)) {
      finding.why = "It may be the disk of another VM; Drover never overwrites a file.";
      finding.fixes = {fmt::format("drover import {} ... --to FOLDER", folder),
                       fmt::format("qemu-img info -U {}", word(finding.object))};
    }
    // virsh knows no such VM yet.
    for (std::string& fix : finding.fixes) {
      for (const std::string_view verb :
           {"virsh detach-interface", "virsh edit", "virsh dumpxml"}) {
        if (fix.find(verb) == std::string::npos) continue;
        fix = fmt::format(
            "Change {}/definition.xml, and remove {}/drover-export.json, whose hash it breaks: the "
            "files are then not verified.",
            folder, folder);
        break;
      }
    }
    const auto repeated = std::ranges::unique(finding.fixes);
    finding.fixes.erase(repeated.begin(), repeated.end());
  }
}

void check_verified(const ImportView& view, Findings& findings) {
  if (view.has_manifest) return;
  findings.warning(Code::kNotVerified, view.request.folder,
                   fmt::format("Contents not verified: no manifest in {}.", view.request.folder),
                   "Whether the images are whole, and those of this definition, is not known.",
                   {"Export the VM once more with drover export.",
                    "If you know where the files come from: --accept NOT_VERIFIED"});
}

void check_whole(const ImportView& view, Findings& findings) {
  for (const std::string& what : view.damaged) {
    findings.blocker(Code::kExportDamaged, view.request.folder, what,
                     "What is there is not what was exported.",
                     {"Take the folder from where it was exported once more."});
  }
}

void check_image(const ImportedDisk& disk, Findings& findings) {
  if (!disk.facts) {
    findings.blocker(Code::kDiskUnreadable, disk.target,
                     fmt::format("{} is no usable {} image.", disk.path, disk.format),
                     disk.facts.error().text(),
                     {fmt::format("qemu-img info -f {} {}", disk.format, word(disk.path)),
                      "Take the folder from where it was exported once more."});
    return;
  }
  const ImageFacts& image = *disk.facts;
  const bool based = !image.backing_chain.empty();
  const bool as_exported = based && !disk.below.empty() &&
                           image.backing_chain.front() == disk.below && !image.layers.empty() &&
                           image.layers.front().format == disk.below_format;
  if (!based && !disk.below.empty()) {
    findings.blocker(
        Code::kExportDamaged, disk.target,
        fmt::format("{} is based on none; the manifest says {}.", disk.path, disk.below),
        "What is there is not what was exported.",
        {"Take the folder from where it was exported once more."});
  }
  if ((based && !as_exported) || image.data_file) {
    findings.blocker(
        Code::kImageNotWhole, disk.target,
        fmt::format("{} needs another file: {}.", disk.path,
                    image.data_file ? "its data are in one" : image.backing_chain.front()),
        "An image from elsewhere could have any file of this host read.",
        {fmt::format("Where that file is: qemu-img convert -O {} {} WHOLE, and import that",
                     disk.format, word(disk.file))});
  }
  if (image.encrypted) {
    findings.blocker(Code::kDiskEncrypted, disk.target, fmt::format("{} is encrypted.", disk.path),
                     "Its key is a secret that this host does not have.", {});
  }
  if (disk.virtual_size.bytes != 0 && image.virtual_size != disk.virtual_size) {
    findings.blocker(Code::kExportDamaged, disk.target,
                     fmt::format("{} is a disk of {}; the manifest says {}.", disk.path,
                                 to_text(image.virtual_size), to_text(disk.virtual_size)),
                     "What is there is not what was exported.",
                     {"Take the folder from where it was exported once more."});
  }
}

// Disks that stay on their host when a VM moves: what is at their path here is used as it is.
void check_left_disks(const ImportView& view, const DomainFacts& domain, Findings& findings) {
  for (const DiskFacts& facts : domain.disks) {
    const Disk& disk = facts.disk;
    if (disk.device != DiskDevice::kDisk || (!disk.read_only && !disk.shareable)) continue;
    findings.warning(
        disk.read_only ? Code::kDiskReadOnly : Code::kDiskShareable, disk.target,
        fmt::format("{} is {} and not in the folder: the VM will use {} of {}.", disk.target,
                    disk.read_only ? "read-only" : "shared with other VMs",
                    disk.path.empty() ? "what the definition names" : disk.path, view.host),
        "It has to be there, and to be what the VM expects.",
        {fmt::format("ls -l {}", word(disk.path))});
  }
}

void check_elsewhere(const ImportView& view, const DomainFacts& domain, Findings& findings) {
  if (view.request.mode == ImportMode::kCopy) return;
  for (const Vm& vm : view.elsewhere) {
    if (vm.uuid != domain.vm.uuid || vm.host == view.host) continue;
    findings.warning(
        Code::kVmElsewhere, vm.name,
        fmt::format("{} has this same VM ({}).", vm.host,
                    vm.state == VmState::kOff ? "off" : "running"),
        "There would be two with one identity: the same addresses in the network, and neither can "
        "be moved to the other's host.",
        {fmt::format("drover import {} --copy makes another VM of it.", word(view.request.folder)),
         fmt::format("On {}: virsh undefine {} --keep-nvram, if that one is not needed", vm.host,
                     word(vm.name))});
  }
}

// Used where it lies, a file may have one user.
void check_users(const ImportView& view, Findings& findings) {
  for (const auto& [path, vm] : view.users) {
    findings.blocker(
        Code::kDiskExists, path, fmt::format("{} is used by {}.", path, vm),
        "Two VMs that write to one file destroy what it holds.",
        {fmt::format("drover import {} --copy, with {} shut off, makes another VM "
                     "from copies.",
                     word(view.request.folder), vm),
         fmt::format("virsh undefine {} --keep-nvram, if that one is not needed", word(vm))});
  }
}

void check_media(const ImportView& view, Findings& findings) {
  for (const std::string& medium : view.ejected) {
    findings.note(Code::kMediaEjected, medium,
                  fmt::format("{} is not on {}: the drive will be empty.", medium, view.host),
                  "A VM cannot be started with a medium that is missing.");
  }
}

void check_memory(const ImportView& view, const DomainFacts& domain, Findings& findings) {
  const std::string& name = domain.vm.name;
  if (!view.memory_definition.empty()) {
    findings.note(Code::kVmSaved, name, fmt::format("{} comes with its memory.", name),
                  "Started here, it goes on where it was; virsh start --force-boot lets it boot.");
  }
  if (view.memory_left.empty()) return;
  findings.warning(
      Code::kMemoryLeft, name,
      fmt::format("{} is imported without the memory in the folder.", name),
      view.memory_left + " Its disks are as after a loss of power, and its guest will boot.",
      {"If it is not needed: --accept MEMORY_LEFT"});
}

Vm measured(const DomainFacts& domain, const ImportView& view) {
  const std::span<const ImportedDisk> disks = view.disks;
  ByteCount beside_first = view.checkpoint_memory;
  Vm vm = domain.vm;
  vm.state = VmState::kOff;
  for (Disk& disk : vm.disks) {
    const auto found = std::ranges::find(disks, disk.target, &ImportedDisk::target);
    if (found == disks.end() || !found->facts) continue;
    disk.virtual_size = found->facts->virtual_size;
    disk.cluster_size = found->facts->cluster_size;
    // What it is based on lands beside it.
    for (const ImportedDisk& image : disks) {
      const bool its = image.target == disk.target || image.target.starts_with(disk.target + ".");
      if (its && image.facts) disk.allocated += image.facts->allocated;
    }
    disk.allocated += std::exchange(beside_first, {});
  }
  return vm;
}

}  // namespace

Result<DestinationReport> check_import(const ImportView& view, Hypervisor& hypervisor,
                                       const HostSettings& settings) {
  ASSIGN_OR_RETURN(const DomainFacts domain, parse_domain(view.definition));
  const bool has_memory = !view.memory_definition.empty();
  Proposal proposal{measured(domain, view),
                    has_memory ? view.memory_definition : view.definition,
                    view.definition,
                    {},
                    view.source,
                    {}};
  proposal.vm.saved = has_memory;
  proposal.request.vm = domain.vm.uuid;
  proposal.request.destination = view.host;
  proposal.request.kind = MoveKind::kOffline;
  proposal.request.disks_to = view.request.mode == ImportMode::kRegister ? view.request.folder
                              : view.request.disks_to.empty()            ? settings.default_folder
                                                                         : view.request.disks_to;
  ASSIGN_OR_RETURN(DestinationReport report, check_destination(proposal, hypervisor, settings));
  drop_what_is_of_moves(report.findings, view.request, has_memory);
  adapt_words(report.findings, view);
  Findings findings;
  check_verified(view, findings);
  check_whole(view, findings);
  for (const ImportedDisk& disk : view.disks) check_image(disk, findings);
  check_left_disks(view, domain, findings);
  check_elsewhere(view, domain, findings);
  check_media(view, findings);
  check_memory(view, domain, findings);
  check_users(view, findings);
  const auto own = findings.take();
  report.findings.insert(report.findings.end(), own.begin(), own.end());
  sort_findings(report.findings);
  return report;
}

std::vector<Finding> refused_definition(std::string_view vm, std::span<const std::string> why) {
  Findings findings;
  for (const std::string& reason : why) {
    findings.blocker(
        Code::kDefinitionRefused, std::string(vm),
        fmt::format("The definition refers to something of the host that is not allowed: {}.",
                    reason),
        "A definition from elsewhere could reach any file or device of this host.",
        {"Take it out of definition.xml, and drover-export.json away, whose hash it breaks; or "
         "define the VM without it and add it with virsh afterwards."});
  }
  return findings.take();
}

Finding place_taken(const ImportView& view, const ArchiveItem& item) {
  Findings one;
  if (item.item == "memory") {
    one.blocker(Code::kVmSaved, item.path,
                fmt::format("{} exists on {} already.", item.path, view.host),
                "It is memory that a VM of this name had there; Drover never overwrites a file.",
                {fmt::format("If nothing needs it: mv {0} {0}.old", word(item.path))});
    return one.take().front();
  }
  const bool tpm = item.item == "tpm";
  one.blocker(
      tpm ? Code::kTpmExists : Code::kDiskExists, item.path,
      fmt::format("{} exists on {} already.", item.path, view.host),
      tpm ? "libvirt kept it of an earlier stay of this VM; Drover never overwrites a file."
          : "It may be the disk of another VM; Drover never overwrites a file.",
      {tpm ? fmt::format("If it is not needed: mv {} {}", word(folder_of(folder_of(item.path))),
                         word(folder_of(folder_of(item.path)) + ".old"))
           : fmt::format("drover import {} ... --to FOLDER", word(view.request.folder))});
  return one.take().front();
}

Finding checkpoints_refused(const ImportView& view, const std::string& why) {
  Findings one;
  one.warning(Code::kCheckpointsLeft, view.request.folder,
              "The VM is imported without its snapshots, in its present state only.", why,
              {"If they are not needed: --accept CHECKPOINTS_LEFT"});
  return one.take().front();
}

void sort_findings(std::vector<Finding>& findings) {
  std::ranges::stable_sort(findings, {}, &Finding::level);
}

}  // namespace drover::preflight
