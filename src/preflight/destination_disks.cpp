// SPDX-License-Identifier: Apache-2.0
// Whether the disks have a place here.
#include <algorithm>
#include <map>
#include <set>

#include <fmt/core.h>

#include "hypervisor/allowed_folder.h"
#include "preflight/destination_view.h"
#include "preflight/image_format.h"
#include "preflight/layers.h"
#include "preflight/placement.h"

namespace drover::preflight {
namespace {

// The option that names a place, for fixes.
std::string_view place_option(const DestinationView& view) {
  return view.proposal.request.kind == MoveKind::kStorage ? "--to-storage" : "--disks-to";
}

void check_folder(const DestinationView& view, const FolderFacts& folder, Findings& findings) {
  const std::string& host = view.host.name;
  if (!folder.allowed) {
    findings.blocker(
        Code::kFolderNotAllowed, folder.path,
        fmt::format("{} is not an allowed folder on {}.", folder.path, host),
        "The administrator of a host says where others may place files.",
        {fmt::format("{} {}", place_option(view), word(view.settings().default_folder)),
         fmt::format("on {}: drover settings allowed-folders+={}", host, word(folder.path))});
  } else if (folder.through_link) {
    findings.blocker(
        Code::kFolderLink, folder.path,
        fmt::format("The way to {} on {} leads through a symbolic link.", folder.path, host),
        "Below an allowed folder no link is followed: it could lead anywhere.",
        {"Name the folder that the link points to, if it is allowed.",
         fmt::format("on {}: drover settings allowed-folders+=FOLDER", host)});
  } else if (!folder.exists) {
    findings.blocker(
        Code::kFolderMissing, folder.path,
        fmt::format("There is no folder {} on {}.", folder.path, host),
        "Drover makes no folders: a missing one is often a file system that is not mounted.",
        {fmt::format("On {}: mkdir -m 711 {}", host, word(folder.path)),
         fmt::format("On {}: findmnt", host)});
  } else if (folder.read_only) {
    findings.blocker(
        Code::kFolderClosed, folder.path, fmt::format("{} on {} is read-only.", folder.path, host),
        "No image can be created there.", {fmt::format("On {}: mount -o remount,rw ...", host)});
  } else if (!folder.closed_at.empty()) {
    findings.blocker(Code::kFolderClosed, folder.path,
                     fmt::format("QEMU's user on {} may not enter {}.", host, folder.closed_at),
                     "QEMU opens its images by path and would be refused.",
                     {fmt::format("On {}: chmod o+x {}", host, word(folder.closed_at)),
                      fmt::format("Choose another folder with {}.", place_option(view))});
  } else if (!folder.keeps_room) {
    findings.blocker(
        Code::kRoomNotKept, folder.path,
        fmt::format("The file system of {} on {} keeps no room for a file.", folder.path, host),
        "The room of a full image could not be taken before it is written.",
        {"--allocation thin, or leave that out",
         fmt::format("Choose a folder on another file system with {}.", place_option(view))});
  }
}

}  // namespace

void check_folders(const DestinationView& view, Findings& findings) {
  for (const auto& folder : view.folders) check_folder(view, folder, findings);
  // Said even for a VM whose disks need no place.
  const std::string& asked = view.proposal.request.disks_to;
  const bool is_pool =
      std::ranges::find(view.volume_pools, asked, &VolumePool::name) != view.volume_pools.end();
  if (!asked.empty() && !is_pool && !is_plain_path(asked) && view.folders.empty()) {
    findings.blocker(Code::kFolderNotAllowed, asked,
                     fmt::format("{} is not an allowed folder on {}.", asked, view.host.name),
                     "A folder is named by its whole path, without \"..\".",
                     {fmt::format("--disks-to {}", word(view.settings().default_folder))});
  }
}

namespace {

// It is not the disk itself, or that could not be proven.
void tell_taken(const DestinationView& view, const DiskPlacement& placement, Findings& findings) {
  const std::string& path = placement.destination_path;
  const bool was_marked = std::ranges::find(view.proposal.marks, placement.target,
                                            &DiskMark::target) != view.proposal.marks.end();
  const auto unmarkable = view.unmarkable.find(path);
  std::string why = "It may be the disk of another VM; Drover never overwrites a file.";
  std::vector<std::string> fixes;
  if (unmarkable != view.unmarkable.end() || !was_marked) {
    why += fmt::format(
        " If it is this VM's own on shared storage, that could not be proven: {}",
        was_marked ? unmarkable->second : "the image could not be marked by a lock at the source.");
    fixes.push_back(
        "On shared storage, on both hosts: findmnt -T FOLDER shows whether locks are kept local "
        "(nolock, local_lock) or root may not read there.");
  } else {
    why += fmt::format(
        " It is not the file that the VM uses: a lock on that one is not seen on {}. A share that "
        "keeps locks local looks the same.",
        view.host.name);
  }
  fixes.push_back(fmt::format("On {}: qemu-img info -U {}", view.host.name, word(path)));
  fixes.push_back(fmt::format("If nothing uses it, on {}: mv {} {}", view.host.name, word(path),
                              word(path + ".old")));
  fixes.emplace_back("Choose another folder with --disks-to.");
  findings.blocker(Code::kDiskExists, placement.target,
                   fmt::format("{} exists on {} already.", path, view.host.name), std::move(why),
                   std::move(fixes));
}

}  // namespace

void check_paths(const DestinationView& view, Findings& findings) {
  std::map<std::string, std::string> first_with;
  for (const auto& placement : view.placements) {
    const std::string& path = placement.destination_path;
    const auto [other, fresh] = first_with.emplace(path, placement.target);
    if (!fresh) {
      findings.blocker(
          Code::kDiskCollision, placement.target,
          fmt::format("{} and {} would both become {}.", other->second, placement.target, path),
          "Two disks cannot share one file.",
          {fmt::format("Allow their own folders on {}: drover settings allowed-folders+=FOLDER",
                       view.host.name),
           fmt::format("Rename one of the images while {} is off.", view.name())});
    }
    const auto taken = view.taken.find(path);
    const bool is_file = placement.destination_pool.empty();
    if (is_file && taken != view.taken.end() && taken->second && !placement.shared)
      tell_taken(view, placement, findings);
    const auto& items = view.proposal.request.items;
    const bool named = std::ranges::find(items, placement.target, &ItemPlace::item) != items.end();
    if (view.proposal.request.disks_to.empty() && !named &&
        folder_of(path) != folder_of(placement.source_path)) {
      findings.note(
          Code::kPlacedElsewhere, placement.target,
          fmt::format("{} becomes {} on {}.", placement.source_path, path, view.host.name),
          !placement.source_pool.empty()
              ? std::string("A volume becomes a file unless a pool of volumes is named.")
              : fmt::format("{} is not an allowed folder there; the default folder is used. If "
                            "both hosts see that folder, allow it there and nothing has to be "
                            "copied.",
                            folder_of(placement.source_path)));
    }
  }
  const auto nvram = view.taken.find(view.nvram_destination);
  if (nvram != view.taken.end() && nvram->second) {
    findings.blocker(
        Code::kNvramExists, view.nvram_destination,
        fmt::format("{} exists on {} already.", view.nvram_destination, view.host.name),
        "It holds another VM's firmware variables, or those of an earlier stay of this one; or "
        "both "
        "hosts see this VM's own, which cannot be moved so.",
        {fmt::format("If nothing uses it, on {}: mv {} {}", view.host.name,
                     word(view.nvram_destination), word(view.nvram_destination + ".old")),
         fmt::format(
             "If both hosts see that folder: keep the NVRAM of {} in a folder of each host's "
             "own, while it is off.",
             view.name())});
  }
}

// What both hosts see is not made anew.
void check_formats(const DestinationView& view, Findings& findings) {
  const MoveRequest& request = view.proposal.request;
  const auto& disks = view.proposal.vm.disks;
  for (const DiskPlacement& placement : view.placements) {
    const auto disk = std::ranges::find(disks, placement.target, &Disk::target);
    if (disk == disks.end() || !is_made_anew(request, disk->format)) continue;
    if (!placement.shared) {
      check_made_anew(view.proposal.vm, request, *disk, findings);
      continue;
    }
    findings.note(Code::kDiskStays, placement.target,
                  fmt::format("{} stays as it is: both hosts see {}.", placement.target,
                              placement.destination_path),
                  "Only an image that is copied becomes another.");
  }
}

void check_space(const DestinationView& view, Findings& findings) {
  struct Sum {
    ByteCount allocated, virtual_size, free;
    std::string folder;
  };
  std::map<std::uint64_t, Sum> per_file_system;
  for (const auto& placement : view.placements) {
    if (placement.shared) continue;
    const FolderFacts* folder = view.folder(folder_of(placement.destination_path));
    if (folder == nullptr || !folder->exists) continue;
    Sum& sum = per_file_system[folder->file_system];
    const ByteCount room = room_of(placement);
    sum.allocated += room;
    sum.virtual_size += std::max(room, placement.virtual_size);
    sum.free = folder->free;
    if (sum.folder.empty()) sum.folder = folder->path;
  }
  for (const auto& file : view.files) {
    if (file.shared || file.present) continue;
    const FolderFacts* folder = view.folder(folder_of(file.destination_path));
    if (folder == nullptr || !folder->exists) continue;
    Sum& sum = per_file_system[folder->file_system];
    sum.allocated += file.allocated;
    sum.virtual_size += file.allocated;  // it grows no more
    sum.free = folder->free;
    if (sum.folder.empty()) sum.folder = folder->path;
  }
  for (const auto& [file_system, sum] : per_file_system) {
    // A file system filled to its brim harms more than the move.
    const ByteCount needed = sum.allocated + view.settings().space_reserve;
    if (sum.free < needed) {
      findings.blocker(
          Code::kSpaceShort, sum.folder,
          fmt::format("{} on {} has {} free; {} are needed.", sum.folder, view.host.name,
                      to_text(sum.free), to_text(needed)),
          "The copy would stop in the middle, and other VMs there would stand still.",
          {fmt::format("Make room on {}: drover quarantine list shows what earlier moves keep",
                       view.host.name),
           fmt::format("Choose a folder on another file system with {}.", place_option(view))});
    } else if (sum.free < sum.virtual_size) {
      findings.note(
          Code::kSpaceGrowth, sum.folder,
          fmt::format("The disks may grow to {}; {} on {} has {} free.", to_text(sum.virtual_size),
                      sum.folder, view.host.name, to_text(sum.free)),
          "They fit now. A guest that fills its disks later could fill the file system.");
    }
  }
}

void check_media(const DestinationView& view, Findings& findings) {
  for (const auto& facts : view.live.disks) {
    const Disk& disk = facts.disk;
    if (!is_drive(disk) || (disk.path.empty() && disk.kind != DiskKind::kNetwork)) continue;
    // One that travels is told of with what is here in its place.
    if (std::ranges::find(view.files, disk.target, &FilePlacement::item) != view.files.end())
      continue;
    std::vector<std::string> fixes{
        fmt::format("virsh change-media {} {} --eject", word(view.name()), disk.target),
        "--media eject: it is taken out when the move begins, and back in if that is undone."};
    if (can_travel(disk, view.proposal.vm.state))
      fixes.emplace_back("--media copy: its file travels too, and stays on both hosts.");
    const auto readable = view.readable.find(disk.path);
    if (disk.kind == DiskKind::kFile && readable != view.readable.end() && readable->second) {
      findings.warning(Code::kMediaInserted, disk.target,
                       fmt::format("{} is in the drive {}, and {} has a file of that name.",
                                   disk.path, disk.target, view.host.name),
                       "If the two differ, the guest reads another disc after the move.",
                       std::move(fixes));
    } else {
      fixes.push_back(fmt::format("Put the same file at the same path on {}.", view.host.name));
      findings.blocker(Code::kMediaInserted, disk.target,
                       fmt::format("{} is in the drive {}; {} does not have it.",
                                   disk.path.empty() ? "A network image" : disk.path, disk.target,
                                   view.host.name),
                       view.proposal.request.media == Media::kCopy
                           ? "It is not copied along (--media copy): only a raw file that no guest "
                             "writes meanwhile is."
                           : "The VM cannot be started there without it.",
                       std::move(fixes));
    }
  }
}

}  // namespace drover::preflight
