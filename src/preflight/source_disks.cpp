// SPDX-License-Identifier: Apache-2.0
// Disks that cannot be copied while the VM runs, and why.
#include <algorithm>

#include <fmt/core.h>

#include "model/network_disk.h"
#include "preflight/source_facts.h"
#include "preflight/volumes.h"

namespace drover::preflight {
namespace {

bool is_disk(const DiskFacts& facts) {
  return facts.disk.device == DiskDevice::kDisk || facts.disk.device == DiskDevice::kLun;
}

// As the hypervisor sees it: with sizes and the backing chain of the image itself.
const Disk* measured(const SourceFacts& facts, const std::string& target) {
  for (const auto& disk : facts.view.vm.disks) {
    if (disk.target == target) return &disk;
  }
  return nullptr;
}

std::string described(const DiskFacts& facts) {
  return facts.disk.path.empty() ? facts.disk.target
                                 : facts.disk.target + " (" + facts.disk.path + ")";
}

void check_kind(const SourceFacts& facts, const DiskFacts& disk, Findings& findings) {
  const std::string& target = disk.disk.target;
  if (disk.disk.device == DiskDevice::kLun) {
    findings.blocker(
        Code::kDiskLun, target, fmt::format("{} is a SCSI device of this host.", described(disk)),
        "The guest talks to the device itself; there is no such device on the destination.",
        {fmt::format("virsh detach-disk {} {}", word(facts.name()), target)});
    return;
  }
  switch (disk.disk.kind) {
    case DiskKind::kFile:
      break;
    case DiskKind::kVolume:
    case DiskKind::kBlock:
      if (const Disk* const there = measured(facts, target); is_on_volume(disk, there))
        check_source_volume(facts, disk, there, findings);
      break;
    case DiskKind::kNetwork:
      if (disk.disk.device == DiskDevice::kDisk && network_disk_port(disk.network.protocol) != 0)
        break;  // asked, there too
      findings.blocker(Code::kDiskNetwork, target,
                       fmt::format("{} is a network disk ({}).", target, disk.network.protocol),
                       "That the destination opens the very same one is proven of NBD, iSCSI, "
                       "GlusterFS and RBD only.",
                       {fmt::format("Detach it for the move: virsh detach-disk {} {}",
                                    word(facts.name()), target)});
      break;
    case DiskKind::kOther:
      findings.blocker(Code::kDiskKind, target,
                       fmt::format("{} is of a kind that cannot be moved live.", target),
                       "Drover copies disk images that are files.",
                       {fmt::format("virsh detach-disk {} {}", word(facts.name()), target)});
      break;
  }
}

void check_flags(const SourceFacts& facts, const DiskFacts& disk, Findings& findings) {
  const std::string& target = disk.disk.target;
  if (disk.disk.shareable) {
    findings.blocker(Code::kDiskShareable, target,
                     fmt::format("{} is shared with other VMs.", described(disk)),
                     "A copy would part this VM from the others that write to the disk.",
                     {fmt::format("virsh detach-disk {} {}", word(facts.name()), target)});
  }
  if (disk.disk.read_only) {
    findings.blocker(Code::kDiskReadOnly, target,
                     fmt::format("{} is a read-only disk.", described(disk)),
                     "libvirt does not copy read-only disks; the destination would not find it.",
                     {fmt::format("virsh detach-disk {} {}", word(facts.name()), target)});
  }
  if (disk.transient) {
    findings.blocker(Code::kDiskTransient, target,
                     fmt::format("{} forgets its changes at power-off.", described(disk)),
                     "libvirt refuses to move a VM with a transient disk.",
                     {fmt::format("Remove <transient/> of {} from the definition and restart {}.",
                                  target, facts.name())});
  }
  if (disk.encrypted) {
    findings.blocker(Code::kDiskEncrypted, target,
                     fmt::format("{} is encrypted by libvirt.", described(disk)),
                     "The destination lacks the secret that opens it.",
                     {"Encrypted disks cannot be moved yet: use encryption within the guest."});
  }
  if (!disk.job.empty()) {
    findings.blocker(
        Code::kDiskJob, target,
        fmt::format("A block job ({}) works on {}.", disk.job, described(disk)),
        "libvirt refuses to move a VM while one of its disks is being copied or committed.",
        {fmt::format("virsh blockjob {} {} --info", word(facts.name()), target),
         fmt::format("virsh blockjob {} {} --abort", word(facts.name()), target)});
  }
}

}  // namespace

void check_disk_kinds(const SourceFacts& facts, Findings& findings) {
  for (const auto& disk : facts.live.disks) {
    if (!is_disk(disk)) continue;
    check_kind(facts, disk, findings);
    check_flags(facts, disk, findings);
  }
}

void check_disk_images(const SourceFacts& facts, Findings& findings) {
  for (const auto& described_disk : facts.live.disks) {
    const auto& disk = described_disk.disk;
    if (disk.device != DiskDevice::kDisk) continue;
    const Disk* image = measured(facts, disk.target);
    const bool is_volume = image != nullptr && !image->pool.empty();
    if (disk.kind != DiskKind::kFile && disk.kind != DiskKind::kVolume && !is_volume) continue;
    const std::string object = described(described_disk);
    if (described_disk.data_file) {
      findings.blocker(Code::kDiskDataFile, disk.target,
                       fmt::format("{} keeps its data in a second file.", object),
                       "The copy would be made of one file only, with another layout.",
                       {"qemu-img convert it to plain qcow2 while the VM is off."});
      continue;
    }
    if (disk.format != "raw" && disk.format != "qcow2") {
      findings.blocker(
          Code::kDiskFormat, disk.target, fmt::format("{} has the format {}.", object, disk.format),
          "QEMU cannot move images of this format while they are in use.",
          {fmt::format(
              "While the VM is off: qemu-img convert -O qcow2 {} NEW, then change the definition",
              word(disk.path))});
      continue;
    }
    // A volume of a pool that is not active has no path: it would silently be left out of the copy.
    if (image == nullptr || image->virtual_size.bytes == 0 || image->path.empty()) {
      findings.blocker(Code::kDiskUnreadable, disk.target,
                       fmt::format("The image of {} cannot be read.", object),
                       "Its size is not known, so no copy can be made for it.",
                       {fmt::format("qemu-img info -U {}", word(disk.path))});
      continue;
    }
    const auto& chain = image->backing_chain.empty() ? disk.backing_chain : image->backing_chain;
    if (!chain.empty()) check_chain(facts, *image, object, chain, findings);
  }
}

}  // namespace drover::preflight
