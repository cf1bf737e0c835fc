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

using InDrive = Hypervisor::InDrive;

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
  const auto next = disks_of_next_boot(*vm);
  if (!next) return cannot(next.error(), "What is in the drives");
  for (const Disk& disk : media) {
    forget_disc(disk.target);  // of an attempt before this one: it holds something else since
    const KnownFile disc = known_file(disk.target, disk.path, {});
    job_.ejected.push_back(disc);
    const auto later = std::ranges::find(*next, disk.target, &Disk::target);
    if (later != next->end() && held_by(*next, disc) != Held::kIt)
      job_.ejected_next.push_back(known_file(disk.target, later->path, {}));
  }
  if (auto saved = save(); !saved) return undo_because(saved.error());
  for (const Disk& disk : media) {
    if (auto out = world_.hypervisor.change_media(uuid(), disk.target, "", InDrive::kAlways); !out)
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
    forget_disc(disc.target);
    (void)save();
  }
  return true;
}

void PeerMove::forget_disc(const std::string& target) {
  const auto is_it = [&](const KnownFile& disc) { return disc.target == target; };
  std::erase_if(job_.ejected, is_it);
  std::erase_if(job_.ejected_next, is_it);
}

// Of a VM that is off, or has no definition beside the running one, they are its disks.
Result<std::vector<Disk>> PeerMove::disks_of_next_boot(const Vm& vm) {
  if (!vm.persistent || vm.state == VmState::kOff) return vm.disks;
  ASSIGN_OR_RETURN(const std::string text,
                   world_.hypervisor.definition(uuid(), DefinitionKind::kPersistent));
  ASSIGN_OR_RETURN(DomainFacts next, parse_domain(text));
  return std::move(next.vm.disks);
}

// Into what runs, and what the next boot had: somebody may have filled one of them since, and a
// droverd may have ended between the two. A drive may be there for now alone.
Status PeerMove::insert(const KnownFile& disc) {
  const auto vm = world_.hypervisor.find_vm(uuid());
  if (!vm && vm.error().code == ErrorCode::kNotFound) return {};
  if (!vm) return std::unexpected(vm.error());
  ASSIGN_OR_RETURN(const std::vector<Disk> next, disks_of_next_boot(*vm));
  const auto other = std::ranges::find(job_.ejected_next, disc.target, &KnownFile::target);
  const KnownFile& later = other == job_.ejected_next.end() ? disc : *other;
  const bool off = vm->state == VmState::kOff;
  const auto now = off ? std::nullopt : held_by(vm->disks, disc);
  const auto then = off || now ? held_by(next, later) : std::nullopt;
  if (now == Held::kAnother || then == Held::kAnother) return {};
  const bool into_now = now == Held::kNothing;
  const bool into_next = then == Held::kNothing;
  if (into_now && into_next && disc.path == later.path)
    return world_.hypervisor.change_media(uuid(), disc.target, disc.path, InDrive::kAlways);
  if (into_now)
    RETURN_IF_ERROR(world_.hypervisor.change_media(uuid(), disc.target, disc.path, InDrive::kNow));
  if (!into_next) return {};
  return world_.hypervisor.change_media(uuid(), disc.target, later.path, InDrive::kAtNextBoot);
}

}  // namespace drover::move
