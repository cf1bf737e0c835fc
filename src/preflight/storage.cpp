// SPDX-License-Identifier: Apache-2.0
#include "preflight/storage.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include "hypervisor/disk_image.h"
#include "hypervisor/qemu_conf.h"
#include "preflight/destination_view.h"
#include "preflight/image_format.h"
#include "preflight/item_places.h"
#include "preflight/local_files.h"
#include "preflight/placement.h"
#include "preflight/source_facts.h"
#include "preflight/volumes.h"

namespace drover::preflight {
namespace {

bool is_whole_disk(const DiskFacts& facts) {
  return facts.disk.device == DiskDevice::kDisk || facts.disk.device == DiskDevice::kLun;
}

// What a folder or pool for all disks takes along; whatever else there is stays where it is.
bool goes_with_all(const SourceView& view, const DiskFacts& facts) {
  const Disk& disk = facts.disk;
  const auto measured = std::ranges::find(view.vm.disks, disk.target, &Disk::target);
  const bool is_volume = measured != view.vm.disks.end() && !measured->pool.empty();
  return disk.device == DiskDevice::kDisk && !disk.read_only && !disk.shareable &&
         (disk.kind == DiskKind::kFile || disk.kind == DiskKind::kVolume || is_volume);
}

// Disk targets and the folders they shall go to.
Result<std::map<std::string, std::string>> wanted_places(const SourceView& view,
                                                         const DomainFacts& live) {
  const MoveRequest& request = view.request;
  if (request.disks_to.empty() && request.items.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "Say where the disks of {} shall go: --to-storage FOLDER, or --item vda=FOLDER.",
                view.vm.name);
  }
  std::map<std::string, std::string> places;
  for (const ItemPlace& item : request.items) {
    const auto disk = std::ranges::find_if(
        live.disks, [&](const DiskFacts& facts) { return facts.disk.target == item.item; });
    if (disk == live.disks.end() || !is_whole_disk(*disk)) {
      std::vector<std::string> targets;
      for (const DiskFacts& facts : live.disks) {
        if (is_whole_disk(facts)) targets.push_back(facts.disk.target);
      }
      return fail(ErrorCode::kInvalidArgument, "{} has no disk {}; its disks: {}.", view.vm.name,
                  item.item, fmt::join(targets, ", "));
    }
    ASSIGN_OR_RETURN(std::string folder, place_named(item.item, item.place, view.host));
    if (!places.emplace(item.item, std::move(folder)).second) {
      return fail(ErrorCode::kInvalidArgument, "The item {} is named twice.", item.item);
    }
  }
  if (request.disks_to.empty()) return places;
  ASSIGN_OR_RETURN(const std::string folder, place_named("", request.disks_to, view.host));
  for (const DiskFacts& facts : live.disks) {
    if (goes_with_all(view, facts)) places.emplace(facts.disk.target, folder);
  }
  return places;
}

// The definition with only the disks that shall move.
void keep_only(DomainFacts& facts, const std::map<std::string, std::string>& places) {
  std::erase_if(facts.disks,
                [&](const DiskFacts& disk) { return !places.contains(disk.disk.target); });
  std::erase_if(facts.vm.disks, [&](const Disk& disk) { return !places.contains(disk.target); });
}

std::string joined(const std::string& folder, const std::string& path) {
  const std::string name = std::filesystem::path(path).filename().string();
  return folder.ends_with('/') ? folder + name : folder + "/" + name;
}

const std::string& place_of(const MoveRequest& request, const std::string& target) {
  const auto item = std::ranges::find(request.items, target, &ItemPlace::item);
  return item == request.items.end() ? request.disks_to : item->place;
}

std::vector<DiskPlacement> place(const SourceView& view, const DomainFacts& live,
                                 const std::map<std::string, std::string>& places,
                                 Findings& findings) {
  std::vector<DiskPlacement> placements;
  for (const DiskFacts& facts : live.disks) {
    const Disk& disk = facts.disk;
    const auto measured = std::ranges::find(view.vm.disks, disk.target, &Disk::target);
    const Disk& sized = measured == view.vm.disks.end() ? disk : *measured;
    const std::string path = disk.path.empty() ? sized.path : disk.path;
    if (path.empty()) continue;  // its kind is a finding
    const std::string& asked = view.request.format;
    const std::string format = asked.empty() ? disk.format : asked;
    const bool changes = format != disk.format;
    if (is_made_anew(view.request, disk.format))
      check_made_anew(view.vm, view.request, sized, findings);
    // A device's name says nothing among files.
    const std::string name = sized.pool.empty() ? (changes ? path_in_format(path, format) : path)
                                                : fmt::format("{}-{}.{}", view.vm.name, disk.target,
                                                              format == "qcow2" ? "qcow2" : "img");
    const std::string there = joined(places.at(disk.target), name);
    const bool same_pool = !sized.pool.empty() && place_of(view.request, disk.target) == sized.pool;
    if (there == path || same_pool) {
      findings.note(Code::kDiskStays, disk.target, fmt::format("{} lies there already.", path),
                    "Nothing is done with it.");
      continue;
    }
    const bool chain = !view.request.flatten && !sized.layers.empty();
    placements.push_back(
        {disk.target, path, there, format, sized.virtual_size,
         chain ? sized.allocated : flattened(sized.allocated, sized.virtual_size, sized.layers),
         sized.cluster_size, false, view.request.allocation, sized.pool});
  }
  return placements;
}

void check_what_stays(const DomainFacts& live, const std::map<std::string, std::string>& places,
                      const MoveRequest& request, Findings& findings) {
  if (request.disks_to.empty()) return;
  for (const DiskFacts& facts : live.disks) {
    if (!is_whole_disk(facts) || places.contains(facts.disk.target)) continue;
    findings.note(Code::kDiskStays, facts.disk.target,
                  fmt::format("{} stays where it is.", facts.disk.target),
                  "It is read-only, shared with other VMs, or no file.");
  }
}

void check_no_link(const SourceView& view, const std::string& target, const std::string& path,
                   Findings& findings) {
  struct stat found{};
  if (::lstat(path.c_str(), &found) != 0 || !S_ISLNK(found.st_mode)) return;
  findings.blocker(Code::kDiskKind, target, fmt::format("{} is a symbolic link.", path),
                   "What it points to would stay, and nobody would know any more what it is.",
                   {fmt::format("While {} is off, put the path that it points to into its "
                                "definition: readlink -f {}",
                                view.vm.name, word(path))});
}

void check_no_file(const SourceView& view, const std::string& target, const std::string& path,
                   Findings& findings) {
  if (!path_taken(path)) return;
  findings.blocker(Code::kDiskExists, target,
                   fmt::format("{} exists on {} already.", path, view.host.name),
                   "It may be the disk of another VM; Drover never overwrites a file.",
                   {fmt::format("qemu-img info -U {}", word(path)),
                    fmt::format("If nothing uses it: mv {} {}", word(path), word(path + ".old")),
                    fmt::format("--item {}=ANOTHER-FOLDER", target)});
}

// Names in the new folders, and whether old and new lie on one device.
void check_new_paths(const SourceView& view, const std::vector<DiskPlacement>& placements,
                     const std::vector<FolderFacts>& folders, Findings& findings) {
  std::map<std::string, std::string> first_with;
  for (const DiskPlacement& placement : placements) {
    const std::string& path = placement.destination_path;
    const auto [other, fresh] = first_with.emplace(path, placement.target);
    if (!fresh) {
      findings.blocker(
          Code::kDiskCollision, placement.target,
          fmt::format("{} and {} would both become {}.", other->second, placement.target, path),
          "Two disks cannot share one file.",
          {fmt::format("--item {}=ANOTHER-FOLDER", placement.target)});
    }
    if (!placement.destination_pool.empty()) continue;  // check_destination_volumes
    const auto folder = std::ranges::find(folders, folder_of(path), &FolderFacts::path);
    if (folder == folders.end() || !folder->exists) continue;
    check_no_file(view, placement.target, path, findings);
    if (placement.source_pool.empty())
      check_no_link(view, placement.target, placement.source_path, findings);
    struct stat found{};
    if (::stat(placement.source_path.c_str(), &found) == 0 &&
        static_cast<std::uint64_t>(found.st_dev) == folder->file_system) {
      findings.warning(
          Code::kSameDevice, placement.target,
          fmt::format("{} and {} lie on the same file system.", placement.source_path,
                      folder->path),
          "All of it is read from and written to the same device, and occupies it twice until the "
          "old image is dropped.",
          {"Choose a folder on another file system.",
           "drover quarantine drop MOVE, once the move has ended"});
    }
  }
}

// What the disks are built on goes to the same folder. Where a layer lies there already it names
// what is below it itself: that stays too.
std::vector<FilePlacement> place_layers(const SourceView& view,
                                        const std::vector<DiskPlacement>& placements) {
  std::vector<FilePlacement> files;
  if (view.request.flatten) return files;
  for (const DiskPlacement& placement : placements) {
    const auto disk = std::ranges::find(view.vm.disks, placement.target, &Disk::target);
    if (disk == view.vm.disks.end()) continue;
    const std::string folder = folder_of(placement.destination_path);
    bool stays = false;
    for (const DiskLayer& layer : disk->layers) {
      const std::string there = joined(folder, layer.path);
      stays = stays || there == layer.path;
      files.push_back({placement.target, layer.path, stays ? layer.path : there, layer.format,
                       layer.virtual_size, layer.allocated, layer.cluster_size, false, stays});
    }
  }
  return files;
}

// One file may be below several disks; two files may not become one.
void check_layers(const SourceView& view, const std::vector<DiskPlacement>& placements,
                  const std::vector<FilePlacement>& files, Findings& findings) {
  std::set<std::string> seen;
  for (const FilePlacement& file : files) {
    if (file.shared) continue;
    const auto clashes = [&](const auto& other) {
      return other.destination_path == file.destination_path &&
             other.source_path != file.source_path;
    };
    if (std::ranges::any_of(placements, clashes) || std::ranges::any_of(files, clashes)) {
      findings.blocker(Code::kDiskCollision, file.item,
                       fmt::format("{} and another file of {} would both become {}.",
                                   file.source_path, view.vm.name, file.destination_path),
                       "Two files cannot have one name.",
                       {fmt::format("--item {}=ANOTHER-FOLDER", file.item),
                        "--flatten makes one image of the chain"});
    }
    if (!seen.insert(file.destination_path).second) continue;
    check_no_file(view, file.item, file.destination_path, findings);
    check_no_link(view, file.item, file.source_path, findings);
  }
}

// A layer of others as well is copied, and stays for them.
void note_other_users(const SourceView& view, const std::vector<FilePlacement>& files,
                      std::span<const Vm> vms, Findings& findings) {
  for (const FilePlacement& file : files) {
    if (file.shared) continue;
    for (const Vm& vm : vms) {
      if (vm.uuid == view.vm.uuid || std::ranges::none_of(vm.disks, [&](const Disk& disk) {
            return disk.path == file.source_path ||
                   std::ranges::find(disk.backing_chain, file.source_path) !=
                       disk.backing_chain.end();
          })) {
        continue;
      }
      findings.note(Code::kDiskStays, file.item,
                    fmt::format("{}, which {} is built on, is also used by {}.", file.source_path,
                                file.item, vm.name),
                    fmt::format("A copy of it goes along; it stays for {}.", vm.name));
      break;
    }
  }
}

// A file takes room once, however many disks are built on it.
std::vector<FilePlacement> each_once(const std::vector<FilePlacement>& files) {
  std::vector<FilePlacement> once;
  std::set<std::string> seen;
  for (const FilePlacement& file : files) {
    if (seen.insert(file.destination_path).second) once.push_back(file);
  }
  return once;
}

// An image that others use as well stays: the old one could not be put aside.
void check_other_users(const SourceFacts& facts, std::span<const Vm> vms, Findings& findings) {
  for (const DiskFacts& disk : facts.live.disks) {
    const std::string& path = disk.disk.path;
    for (const Vm& vm : vms) {
      if (path.empty() || vm.uuid == facts.view.vm.uuid) continue;
      const bool uses = std::ranges::any_of(vm.disks, [&](const Disk& other) {
        return other.path == path ||
               std::ranges::find(other.backing_chain, path) != other.backing_chain.end();
      });
      if (!uses) continue;
      findings.blocker(Code::kDiskShareable, disk.disk.target,
                       fmt::format("{} is also used by {}.", path, vm.name),
                       "A copy would part the two, and the old image could not be put aside.",
                       {fmt::format("virsh domblklist {}", word(vm.name))});
    }
  }
}

std::vector<FolderFacts> look_at_folders(const SourceView& view,
                                         const std::vector<DiskPlacement>& placements) {
  const auto allowed = usable_folders(view.host, view.host.settings);
  const std::string user = qemu_conf().user;
  std::vector<FolderFacts> folders;
  for (const DiskPlacement& placement : placements) {
    if (!placement.destination_pool.empty()) continue;
    const std::string folder = folder_of(placement.destination_path);
    if (std::ranges::find(folders, folder, &FolderFacts::path) != folders.end()) continue;
    folders.push_back(look_at_folder(folder, allowed, user));
    if (placement.allocation == Allocation::kFull)
      folders.back().keeps_room = keeps_room(folder, allowed);
  }
  return folders;
}

}  // namespace

Result<StorageReport> check_storage(const SourceView& view, std::span<const Vm> vms,
                                    std::vector<VolumePool> pools) {
  Findings findings;
  check_hypervisor_up(view, findings);
  check_vm_state(view, findings);
  const std::string& readable = view.live_xml.empty() ? view.persistent_xml : view.live_xml;
  if (readable.empty()) return StorageReport{findings.take(), {}, {}};  // said above
  ASSIGN_OR_RETURN(DomainFacts live, parse_domain(readable));
  ASSIGN_OR_RETURN(const auto places, wanted_places(view, live));
  check_what_stays(live, places, view.request, findings);
  keep_only(live, places);
  SourceFacts facts{view, std::move(live), {}};
  if (!view.persistent_xml.empty()) {
    ASSIGN_OR_RETURN(DomainFacts persistent, parse_domain(view.persistent_xml));
    keep_only(persistent, places);
    facts.persistent = std::move(persistent);
  }
  check_disk_kinds(facts, findings);
  check_disk_images(facts, findings);
  check_persistent(facts, findings);
  check_other_users(facts, vms, findings);
  check_moved_checkpoints(facts, findings);

  Proposal proposal{view.vm, "", "", view.request, view.host, {}};
  proposal.request.disks_to.clear();  // it may be a pool; the folders are looked at below
  DestinationView there(proposal);
  there.host = view.host;
  there.placements = place(view, facts.live, places, findings);
  there.volume_pools = std::move(pools);
  place_volumes(there, view.request);
  there.folders = look_at_folders(view, there.placements);
  auto files = place_layers(view, there.placements);
  there.files = each_once(files);
  check_folders(there, findings);
  check_new_paths(view, there.placements, there.folders, findings);
  check_layers(view, there.placements, files, findings);
  note_other_users(view, there.files, vms, findings);
  check_space(there, findings);
  check_destination_volumes(there, findings);
  if (there.placements.empty() && !findings.blocked()) {
    findings.blocker(
        Code::kNothingToMove, view.vm.name, fmt::format("No disk of {} would move.", view.vm.name),
        "All that could go there lies there already.",
        {fmt::format("virsh domblklist {} shows where its disks lie", word(view.vm.name))});
  }
  return StorageReport{findings.take(), std::move(there.placements), std::move(files)};
}

}  // namespace drover::preflight
