// SPDX-License-Identifier: Apache-2.0
#include "preflight/export.h"

#include <algorithm>
#include <map>
#include <set>

#include <sys/stat.h>

#include "hypervisor/disk_image.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/qemu_conf.h"
#include "preflight/finding.h"
#include "preflight/local_files.h"
#include "preflight/placement.h"

namespace drover::preflight {
namespace {

// What a socket's path leaves: /run/libvirt/drover/12345678.nbd.tunnelmigrate.dest.NAME
constexpr std::size_t kNameMost = 107 - 52;

struct Facts {
  const ExportView& view;
  DomainFacts domain;
  const std::string& name() const { return view.vm.name; }
  bool runs() const { return view.vm.state != VmState::kOff; }
  // At most.
  ByteCount memory_bytes() const { return runs() ? written_memory() : view.saved_bytes; }
  ByteCount written_memory() const { return writes_memory() ? view.vm.memory : ByteCount{}; }
  bool writes_memory() const { return runs() && view.request.memory; }
};

void check_state(const Facts& facts, Findings& findings) {
  const Vm& vm = facts.view.vm;
  if (!vm.move_id.empty()) {
    findings.blocker(
        Code::kVmMoving, vm.name,
        fmt::format("{} is being moved, exported or imported already ({}).", vm.name, vm.move_id),
        "Two jobs would fight over its disks.",
        {fmt::format("drover cancel {}", vm.move_id), "Or wait until it has ended."});
  }
  if (vm.state == VmState::kIncoming) {
    findings.blocker(Code::kVmIncoming, vm.name, fmt::format("{} is just arriving here.", vm.name),
                     "It does not run here until its present move is over.",
                     {"Wait for its present move to end."});
  } else if (vm.state == VmState::kOther || vm.state == VmState::kCrashed) {
    findings.blocker(
        Code::kVmBusy, vm.name, fmt::format("{} neither runs nor is it off.", vm.name),
        "A guest that sleeps, has crashed or is half started has disks in the middle "
        "of something.",
        {fmt::format("virsh domstate --reason {}", word(vm.name)),
         fmt::format("virsh destroy {}, and export it while it is off", word(vm.name))});
  } else if (facts.view.request.memory && vm.state == VmState::kPaused) {
    findings.blocker(
        Code::kVmPaused, vm.name,
        fmt::format("{} is paused, and its memory cannot be exported.", vm.name),
        "Its images would not be locked for a moment in which nothing says that they "
        "are in use.",
        {fmt::format("virsh resume {}", word(vm.name)), "Export it without --memory."});
  } else if (facts.writes_memory()) {
    findings.note(
        Code::kExportRunning, vm.name,
        fmt::format("{} stands still while its memory is written, up to {} to {}.", vm.name,
                    to_text(vm.memory), folder_of(facts.view.request.folder)),
        "Memory, disks, variables and TPM are as they were at one instant. The guest runs on while "
        "its disks are exported.");
  } else if (facts.runs()) {
    findings.note(Code::kExportRunning, vm.name,
                  fmt::format("{} runs on while its disks are exported.", vm.name),
                  "All its disks are as they were at one instant, as after a loss of power; its "
                  "memory is exported with --memory, for which it stands still.");
  }
  if (facts.runs() && vm.name.size() > kNameMost) {
    findings.blocker(Code::kNameTooLong, vm.name,
                     fmt::format("The name {} has {} bytes; {} are possible.", vm.name,
                                 vm.name.size(), kNameMost),
                     "The name is part of a socket's path, which Linux limits to 107 bytes.",
                     {"Export it while it is off.", "virsh domrename, once the VM is off"});
  }
  if (vm.saved && !facts.view.saved_memory.empty()) {
    findings.note(Code::kVmSaved, vm.name,
                  fmt::format("{} is off, and its memory ({}) is exported.", vm.name,
                              to_text(facts.view.saved_bytes)),
                  "Restored or registered from the folder, it goes on where it was saved.");
  } else if (vm.saved) {
    findings.blocker(
        Code::kVmSaved, vm.name,
        fmt::format("{} is off, and its memory is kept on disk, which cannot be exported.",
                    vm.name),
        facts.view.memory_error + " Without it its disks are in the middle of something.",
        {fmt::format("virsh start {}, and export it while it runs or after a shutdown",
                     word(vm.name)),
         fmt::format("virsh managedsave-remove {}, if the saved memory is not needed any more",
                     word(vm.name))});
  } else if (!facts.runs() && facts.view.request.memory) {
    findings.note(Code::kMemoryLeft, vm.name,
                  fmt::format("{} is off, and no memory of it is kept: none is exported.", vm.name),
                  "Its guest will boot from the exported disks.");
  }
}

void check_tpm(const Facts& facts, Findings& findings) {
  const std::string& name = facts.name();
  if (facts.domain.tpm_backend.empty()) return;
  if (!facts.view.tpm_kept) {
    return findings.warning(
        Code::kTpmLeft, name, fmt::format("{} has a TPM, whose state is not exported.", name),
        "The imported VM begins with an empty TPM: what was sealed with it, such as "
        "the key of an encrypted disk, needs its recovery key.",
        {"Have the recovery keys of the guest at hand."});
  }
  if (facts.view.tpm_state.empty()) return;
  findings.note(Code::kTpmTravels, name,
                fmt::format("{} has an emulated TPM, whose state is exported.", name),
                "Who reads the folder has the secrets that the TPM keeps.");
}

void check_target(const Facts& facts, Findings& findings) {
  const HostFacts& host = facts.view.host;
  const std::string& folder = facts.view.request.folder;
  const std::string parent = folder_of(folder);
  const auto folders = usable_folders(host, host.settings);
  const FolderFacts found = look_at_folder(parent, folders, qemu_conf().user);
  if (!found.allowed) {
    findings.blocker(
        Code::kFolderNotAllowed, parent,
        fmt::format("{} is not an allowed folder on {}.", parent, host.name),
        "The administrator of a host says where files may be placed.",
        {fmt::format("drover export {} {}/{}", word(facts.name()),
                     word(host.settings.default_folder), "NAME"),
         fmt::format("On {}: drover settings allowed-folders+={}", host.name, word(parent))});
  } else if (found.through_link) {
    findings.blocker(Code::kFolderLink, parent,
                     fmt::format("The way to {} leads through a symbolic link.", parent),
                     "Below an allowed folder no link is followed: it could lead anywhere.",
                     {"Name the folder that the link points to, if it is allowed."});
  } else if (!found.exists) {
    findings.blocker(
        Code::kFolderMissing, parent, fmt::format("There is no folder {}.", parent),
        "Drover makes the last folder only: a missing one above it is often a file system that "
        "is not mounted.",
        {fmt::format("mkdir -m 711 {}", word(parent)), "findmnt"});
  } else if (found.read_only) {
    findings.blocker(Code::kFolderClosed, parent, fmt::format("{} is read-only.", parent),
                     "Nothing can be created there.", {"mount -o remount,rw ..."});
  } else if (path_taken(folder)) {
    findings.blocker(
        Code::kExportExists, folder, fmt::format("{} exists already.", folder),
        "An export makes its folder and never writes into one that is there.",
        {"Name another folder.", fmt::format("mv {} {}", word(folder), word(folder + ".old"))});
  }
}

// A disk that cannot be read whole, or not by us. True: there is such a reason.
bool is_out_of_reach(const Facts& facts, const DiskFacts& disk, Findings& findings) {
  const std::string& target = disk.disk.target;
  const auto refuse = [&](Code code, std::string what, std::string why,
                          std::vector<std::string> fixes) {
    findings.blocker(code, target, std::move(what), std::move(why), std::move(fixes));
    return true;
  };
  const std::string detach = fmt::format(
      "virsh detach-disk {} {} --persistent, if it is not needed", word(facts.name()), target);
  if (disk.disk.kind == DiskKind::kNetwork) {
    return refuse(Code::kDiskNetwork,
                  fmt::format("{} is a network disk ({}).", target, disk.network.protocol),
                  "Only images in files are exported.", {detach});
  }
  if (disk.disk.kind == DiskKind::kBlock || disk.disk.kind == DiskKind::kOther) {
    return refuse(disk.disk.kind == DiskKind::kBlock ? Code::kDiskBlockDevice : Code::kDiskKind,
                  fmt::format("{} is no file.", target), "Only images in files are exported.",
                  {detach});
  }
  if (disk.encrypted) {
    return refuse(Code::kDiskEncrypted, fmt::format("{} is encrypted by libvirt.", target),
                  "Its key is a secret of this host, which is not exported.", {detach});
  }
  if (disk.disk.format != "raw" && disk.disk.format != "qcow2") {
    return refuse(Code::kDiskFormat, fmt::format("{} has the format {}.", target, disk.disk.format),
                  "Images of the formats raw and qcow2 are exported.",
                  {fmt::format("With {} off: qemu-img convert -O qcow2, and virsh edit",
                               word(facts.name()))});
  }
  if (!disk.job.empty()) {
    return refuse(Code::kDiskJob, fmt::format("A block job ({}) works on {}.", disk.job, target),
                  "libvirt lets only one job work on a disk.",
                  {fmt::format("virsh blockjob {} {} --abort", word(facts.name()), target)});
  }
  return false;
}

// Its sizes and its chain, out of the image.
bool measure(const Facts& facts, ExportedDisk& disk, Findings& findings) {
  const auto image = image_facts(disk.path, disk.format);
  if (!image) {
    findings.blocker(Code::kDiskUnreadable, disk.target,
                     fmt::format("{} cannot be read.", disk.path), image.error().text(),
                     {fmt::format("qemu-img info -U {}", word(disk.path))});
    return false;
  }
  if (image->encrypted || image->data_file) {
    findings.blocker(
        image->encrypted ? Code::kDiskEncrypted : Code::kDiskDataFile, disk.target,
        fmt::format("{} {}.", disk.path,
                    image->encrypted ? "is encrypted" : "has its data in another file"),
        "It cannot be exported as one file.", {});
    return false;
  }
  disk.virtual_size = image->virtual_size;
  disk.allocated = image->allocated;
  disk.cluster_size = image->cluster_size;
  disk.layers = image->layers;
  if (facts.runs()) {
    disk.way = ExportWay::kPicture;
  } else if (!image->backing_chain.empty()) {
    disk.way = ExportWay::kFlatten;
  }
  for (const std::string& below : image->backing_chain) {
    struct stat found{};
    if (::stat(below.c_str(), &found) == 0)
      disk.allocated += {static_cast<std::uint64_t>(found.st_blocks) * 512};
  }
  return true;
}

void check_disks(const Facts& facts, ExportReport& report, Findings& findings) {
  for (const DiskFacts& disk : facts.domain.disks) {
    if (disk.disk.device == DiskDevice::kCdrom || disk.disk.device == DiskDevice::kFloppy) continue;
    if (disk.disk.read_only || disk.disk.shareable) {
      findings.note(Code::kDiskStays, disk.disk.target,
                    fmt::format("{} is {} and not exported.", disk.disk.target,
                                disk.disk.read_only ? "read-only" : "shared with other VMs"),
                    "The imported VM needs the same file at the same path.");
      continue;
    }
    if (is_out_of_reach(facts, disk, findings)) continue;
    ExportedDisk exported;
    exported.target = disk.disk.target;
    exported.path = disk.disk.path;
    exported.format = disk.disk.format;
    const auto measured = std::ranges::find(facts.view.vm.disks, disk.disk.target, &Disk::target);
    if (exported.path.empty() && measured != facts.view.vm.disks.end())
      exported.path = measured->path;  // a volume's path is known to its host only
    if (measure(facts, exported, findings)) report.disks.push_back(std::move(exported));
  }
}

bool has_internal(const Vm& vm) {
  return std::ranges::any_of(vm.checkpoints,
                             [](const Checkpoint& one) { return !one.internal_disks.empty(); });
}

std::vector<CheckpointMemory> memories_of(const Vm& vm) {
  std::vector<CheckpointMemory> memories;
  for (const Checkpoint& checkpoint : vm.checkpoints) {
    if (checkpoint.memory_file.empty()) continue;
    struct stat found{};
    const bool is_file =
        ::lstat(checkpoint.memory_file.c_str(), &found) == 0 && S_ISREG(found.st_mode);
    memories.push_back({checkpoint.name,
                        checkpoint.memory_file,
                        {is_file ? static_cast<std::uint64_t>(found.st_size) : 0}});
  }
  return memories;
}

// Why the VM's checkpoints cannot go into the folder; empty: they can. Without one of them libvirt
// would not know what the others follow from: all go, or none.
std::string why_left(const Facts& facts, const ExportReport& report) {
  const Vm& vm = facts.view.vm;
  if (vm.checkpoints.size() != vm.snapshots || facts.view.checkpoints.size() != vm.snapshots)
    return "They cannot be read.";
  std::set<std::string> exported{vm.nvram_path};
  for (const ExportedDisk& disk : report.disks) {
    exported.insert(disk.path);
    for (const DiskLayer& layer : disk.layers) {
      exported.insert(layer.path);
      const bool is_file = layer.path.starts_with('/') && !layer.path.starts_with("/dev/");
      if (!is_file || (layer.format != "raw" && layer.format != "qcow2"))
        return fmt::format("{} is based on {}, of the format {}.", disk.target, layer.path,
                           layer.format);
    }
  }
  if (facts.runs() && has_internal(vm))
    return "Of an image that a guest writes to QEMU shows the disk, and no snapshot within.";
  for (const CheckpointMemory& memory : memories_of(vm)) {
    if (memory.size.bytes == 0)
      return fmt::format("The memory of {} is not there: {}.", memory.checkpoint, memory.path);
    exported.insert(memory.path);
  }
  for (const CheckpointText& text : facts.view.checkpoints) {
    const auto paths = checkpoint_paths(text.xml);
    if (!paths) return paths.error().text();
    for (const std::string& path : *paths) {
      if (!exported.contains(path))
        return fmt::format("{} needs {}, which is not exported.", text.name, path);
    }
  }
  return {};
}

void check_checkpoints(const Facts& facts, ExportReport& report, Findings& findings) {
  const Vm& vm = facts.view.vm;
  if (vm.snapshots == 0) return;
  const bool one = vm.snapshots == 1;
  if (const std::string why = why_left(facts, report); !why.empty()) {
    return findings.warning(
        Code::kCheckpointsLeft, vm.name,
        fmt::format("{} has {} snapshot{}, which {} not exported.", vm.name, vm.snapshots,
                    one ? "" : "s", one ? "is" : "are"),
        why + " The exported VM has its present state only.",
        {facts.runs() && has_internal(vm) ? std::string("Export it while it is off.")
                                          : fmt::format("virsh snapshot-list {}", word(vm.name))});
  }
  report.checkpoints = facts.view.checkpoints;
  report.memories = memories_of(vm);
  for (ExportedDisk& disk : report.disks) {
    if (disk.layers.empty()) continue;
    disk.way = facts.runs() ? ExportWay::kPictureOnLayers : ExportWay::kLayers;
  }
  findings.note(Code::kCheckpointsTravel, vm.name,
                fmt::format("{} has {} snapshot{}, which {} exported.", vm.name, vm.snapshots,
                            one ? "" : "s", one ? "is" : "are"),
                "What its disks are based on goes into the folder, file by file.");
}

void tell_flattened(const ExportReport& report, Findings& findings) {
  for (const ExportedDisk& disk : report.disks) {
    if (disk.layers.empty() || keeps_layers(disk.way)) continue;
    findings.note(Code::kChainFlattened, disk.target,
                  fmt::format("{} is based on {} other image{}.", disk.target, disk.layers.size(),
                              disk.layers.size() == 1 ? "" : "s"),
                  "The exported image has all of it and is based on none.");
  }
}

void tell_short(const Facts& facts, const std::string& folder, ByteCount free, ByteCount needed,
                std::string why, Findings& findings) {
  if (free >= needed) return;
  findings.blocker(Code::kSpaceShort, folder,
                   fmt::format("{} on {} has {} free; {} are needed.", folder, facts.view.host.name,
                               to_text(free), to_text(needed)),
                   std::move(why),
                   {"Make room: drover quarantine list shows what earlier moves keep.",
                    "Export into a folder on another file system."});
}

// One file system: what the export would write to it for certain, and what the guest may add while
// it is exported.
struct Demand {
  std::string folder;
  ByteCount free, written, overwritten;
};

Demand& demand_of(const FolderFacts& folder, std::map<std::uint64_t, Demand>& demands) {
  return demands.try_emplace(folder.file_system, Demand{folder.path, folder.free, {}, {}})
      .first->second;
}

void check_room(const Facts& facts, const ExportReport& report, Findings& findings) {
  const HostFacts& host = facts.view.host;
  const auto folders = usable_folders(host, host.settings);
  const std::string user = qemu_conf().user;
  const FolderFacts target = look_at_folder(folder_of(facts.view.request.folder), folders, user);
  std::map<std::uint64_t, Demand> demands;
  ByteCount memory = facts.memory_bytes();
  for (const CheckpointMemory& one : report.memories) memory += one.size;
  if (target.allowed && target.exists && memory.bytes != 0)
    demand_of(target, demands).written += memory;
  for (const ExportedDisk& disk : report.disks) {
    if (target.allowed && target.exists) demand_of(target, demands).written += disk.allocated;
    if (!is_picture(disk.way)) continue;
    demand_of(look_at_folder(folder_of(disk.path), folders, user), demands).overwritten +=
        disk.allocated;
  }
  for (const auto& [file_system, demand] : demands) {
    const ByteCount reserve = host.settings.space_reserve;
    const bool is_target = demand.written.bytes != 0;
    const ByteCount needed = reserve + demand.written;
    tell_short(facts, demand.folder, demand.free, needed,
               is_target
                   ? "The export would stop in the middle, and other VMs there would stand still."
                   : "What the guest overwrites while it is exported is kept beside its disk.",
               findings);
    if (demand.free < needed || demand.free >= needed + demand.overwritten) continue;
    findings.note(
        Code::kSpaceGrowth, demand.folder,
        fmt::format("{} on {} has {} free; if {} overwrites all its disks while they are exported, "
                    "{} are needed.",
                    demand.folder, host.name, to_text(demand.free), facts.name(),
                    to_text(needed + demand.overwritten)),
        "What the guest overwrites is kept there until the export has ended. Should it become "
        "full, the export ends before; the guest never stands still.");
  }
}

}  // namespace

Result<ExportReport> check_export(const ExportView& view) {
  ASSIGN_OR_RETURN(DomainFacts domain, parse_domain(view.xml));
  const Facts facts{view, std::move(domain)};
  ExportReport report;
  Findings findings;
  check_state(facts, findings);
  check_target(facts, findings);
  check_tpm(facts, findings);
  check_disks(facts, report, findings);
  check_checkpoints(facts, report, findings);
  tell_flattened(report, findings);
  check_room(facts, report, findings);
  report.findings = findings.take();
  return report;
}

}  // namespace drover::preflight
