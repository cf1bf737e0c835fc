// SPDX-License-Identifier: Apache-2.0
// Discs that stay at the source (--media eject): out of the drives of a guest that runs before
// anything of it is copied, and into them again if the move is undone. Written down before.
#include <algorithm>

#include "base/log.h"
#include "move/peer_move.h"
#include "move/plan/media.h"

namespace drover::move {
StepResult PeerMove::empty_drives() {
  if (job_.move.plan.request.media != Media::kEject) return {};
  const auto cannot = [&](const Error& error, const std::string& disc) {
    return undo_because(
        wrap(error, fmt::format("{} of {} on {} cannot be ejected, before the copy. Fix: eject it "
                                "there (virsh change-media {} DRIVE --eject) and start the move "
                                "again, or start it without --media eject.",
                                disc, vm_name(), job_.move.source, vm_name())));
  };
  const auto vm = world_.hypervisor.find_vm(uuid());
  if (!vm) return cannot(vm.error(), "What is in the drives");
  const auto media = media_in(*vm);
  for (const Disk& disk : media) {
    // Of an attempt before this one: somebody else has put something into the drive since.
    std::erase_if(job_.ejected, [&](const KnownFile& disc) { return disc.target == disk.target; });
    job_.ejected.push_back(known_file(disk.target, disk.path, {}));
  }
  if (auto saved = save(); !saved) return undo_because(saved.error());
  for (const Disk& disk : media) {
    if (auto out = world_.hypervisor.change_media(uuid(), disk.target, ""); !out)
      return cannot(out.error(), fmt::format("The disc in {}", disk.target));
    log::info("Move {}: {} was ejected from {} of {}.", job_.move.id, disk.path, disk.target,
              job_.move.plan.vm.name);
  }
  return {};
}

// The VM is here as before. What somebody else put into a drive meanwhile stays. False: droverd
// stops in between.
bool PeerMove::fill_drives() {
  for (const KnownFile& disc : std::vector(job_.ejected)) {
    const auto inserted = put_back(disc.path, [&] { return insert(disc); });
    if (!inserted) return false;
    if (!*inserted) {
      tell_not_back(fmt::format(
          "The disc {0} is not in the drive {1} of {2} again, for libvirt refuses: {3} "
          "Fix: on {4}, virsh change-media {2} {1} {0} --insert.",
          disc.path, disc.target, vm_name(), inserted->error().text(), job_.move.source));
      continue;
    }
    std::erase_if(job_.ejected, [&](const KnownFile& one) { return one.target == disc.target; });
    (void)save();
  }
  return true;
}

Status PeerMove::insert(const KnownFile& disc) {
  const auto vm = world_.hypervisor.find_vm(uuid());
  if (!vm && vm.error().code == ErrorCode::kNotFound) return {};
  if (!vm) return std::unexpected(vm.error());
  const auto drive = std::ranges::find(vm->disks, disc.target, &Disk::target);
  if (drive == vm->disks.end() || !drive->path.empty()) return {};
  return world_.hypervisor.change_media(uuid(), disc.target, disc.path);
}

}  // namespace drover::move
