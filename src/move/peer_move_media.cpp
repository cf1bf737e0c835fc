// SPDX-License-Identifier: Apache-2.0
// Discs that stay at the source (--media eject): out of the drives of a guest that runs before
// anything of it is copied, and into them again if the move is undone. Written down before.
#include <algorithm>
#include <optional>

#include "base/log.h"
#include "hypervisor/domain_xml.h"
#include "move/peer_move.h"
#include "move/plan/media.h"

namespace drover::move {
namespace {

enum class Held { kNothing, kIt, kAnother };

// What is in the drive of this disc, by one definition; nothing: it has no such drive.
std::optional<Held> held_by(const std::vector<Disk>& disks, const KnownFile& disc) {
  const auto drive = std::ranges::find(disks, disc.target, &Disk::target);
  if (drive == disks.end()) return {};
  if (drive->path == disc.path) return Held::kIt;
  const bool is_local = drive->kind == DiskKind::kFile || drive->kind == DiskKind::kBlock;
  return drive->path.empty() && is_local ? Held::kNothing : Held::kAnother;
}

}  // namespace

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

// Into what runs and what boots next at once: somebody may have filled one of them since, and a
// droverd may have ended between the two.
Status PeerMove::insert(const KnownFile& disc) {
  const auto vm = world_.hypervisor.find_vm(uuid());
  if (!vm && vm.error().code == ErrorCode::kNotFound) return {};
  if (!vm) return std::unexpected(vm.error());
  const auto now = held_by(vm->disks, disc);
  if (!now) return {};
  Held at_next_boot = *now;
  if (vm->persistent && vm->state != VmState::kOff) {
    ASSIGN_OR_RETURN(const std::string text,
                     world_.hypervisor.definition(uuid(), DefinitionKind::kPersistent));
    ASSIGN_OR_RETURN(const DomainFacts next, parse_domain(text));
    at_next_boot = held_by(next.vm.disks, disc).value_or(*now);  // it may be there for now alone
  }
  if (now == Held::kAnother || at_next_boot == Held::kAnother) return {};
  if (now == Held::kIt && at_next_boot == Held::kIt) return {};
  return world_.hypervisor.change_media(uuid(), disc.target, disc.path);
}

}  // namespace drover::move
