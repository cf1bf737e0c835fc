// SPDX-License-Identifier: Apache-2.0
// How much room there is for the disks of moves to this host (docs/space.md).
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include <sys/stat.h>
#include <sys/statvfs.h>

#include "hypervisor/disk_image.h"
#include "move/cold/cold_files.h"
#include "move/destination/destination_rules.h"
#include "move/destination/destination_side.h"
#include "move/plan/shared_disks.h"
#include "preflight/codes.h"
#include "preflight/placement.h"

namespace drover::move {
namespace {

Result<ByteCount> free_bytes(const std::filesystem::path& folder) {
  struct statvfs found{};
  if (::statvfs(folder.c_str(), &found) != 0)
    return fail_errno(fmt::format("Cannot look at the space of {}", folder.string()));
  return ByteCount{std::uint64_t{found.f_bavail} * found.f_frsize};
}

// Of one that is there. Nothing: no such file, or folder.
std::optional<struct stat> status_of(const std::filesystem::path& path) {
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0) return {};
  return found;
}

// What is still to be written of a file that is being copied.
ByteCount missing(const std::filesystem::path& path, ByteCount whole) {
  const auto image = status_of(path);
  const auto written = image ? static_cast<std::uint64_t>(image->st_blocks) * 512 : 0;
  return whole - ByteCount{written};
}

}  // namespace

Status fill_full_images(const DestinationJob& job) {
  Status all;
  for (const DiskPlacement& placement : copied_disks(job.plan)) {
    const auto image = std::ranges::find(job.created, placement.target, &KnownFile::target);
    const bool full = placement.allocation == Allocation::kFull;
    if (!full || image == job.created.end() || image->inode == 0) continue;
    if (auto filled = fill_holes(image->path, identity_of(*image)); !filled) all = filled;
  }
  return all;
}

// By file system. What a copy has written already is not free any more, so only the rest of it is
// promised.
std::optional<Finding> DestinationSide::space_short(const std::vector<DiskPlacement>& placements,
                                                    const MemoryFile& memory,
                                                    WhoIsBusy who_is_busy) const {
  struct Sum {
    std::filesystem::path folder;
    ByteCount needed, promised;
    bool has_disks = false;
  };
  std::map<dev_t, Sum> file_systems;
  const auto need = [&](const std::filesystem::path& folder, ByteCount bytes) -> Sum* {
    const auto found = status_of(folder);
    if (!found) return nullptr;
    Sum& sum = file_systems[found->st_dev];
    if (sum.folder.empty()) sum.folder = folder;
    sum.needed += bytes;
    return &sum;
  };
  for (const auto& placement : placements) {
    if (placement.shared || !placement.destination_pool.empty()) continue;
    const auto folder = std::filesystem::path(placement.destination_path).parent_path();
    if (Sum* const sum = need(folder, preflight::room_of(placement))) sum->has_disks = true;
  }
  if (memory.most.bytes > 0) need(memory.path.parent_path(), memory.most);
  const auto promise = [&](const std::filesystem::path& path, ByteCount bytes) {
    const auto folder = status_of(path.parent_path());
    const auto known = folder ? file_systems.find(folder->st_dev) : file_systems.end();
    if (known != file_systems.end()) known->second.promised += missing(path, bytes);
  };
  for (const auto& entry : all()) {
    std::unique_lock working(entry->working, std::defer_lock);
    if (who_is_busy == WhoIsBusy::kIsAwaited) working.lock();
    if (!working && !working.try_lock()) continue;
    const DestinationJob& job = entry->job;
    if (job.settled || job.undone) continue;
    for (const auto& placement : room_for(job.plan)) {
      if (placement.destination_pool.empty())
        promise(placement.destination_path, preflight::room_of(placement));
    }
    const MemoryFile coming = memory_file(job.plan, entry->name());
    const bool has_come = job.plan.kind == MoveKind::kQuick ? job.restored : job.defined;
    if (coming.most.bytes > 0 && !has_come) promise(coming.path, coming.most);
  }
  const ByteCount reserve = world_.book.settings().space_reserve;
  for (const auto& [device, sum] : file_systems) {
    const auto free = free_bytes(sum.folder);
    if (!free || *free >= sum.needed + sum.promised + reserve) continue;
    return Finding{std::string(preflight::code_name(preflight::Code::kSpaceShort)),
                   FindingLevel::kBlocker,
                   sum.folder.string(),
                   fmt::format("{} on {} has {} free, {} of it promised to other moves; {} are "
                               "needed, and {} shall stay free.",
                               sum.folder.string(), world_.host_name, to_text(*free),
                               to_text(sum.promised), to_text(sum.needed), to_text(reserve)),
                   sum.has_disks
                       ? "The copy would stop in the middle, and other VMs there would stand still."
                       : "The memory of the VM goes through a file there.",
                   {"Wait until those moves are over, or make room there.",
                    sum.has_disks ? "Choose a folder on another file system with --disks-to."
                                  : "Move it live while it runs: then memory needs no file."}};
  }
  return {};
}

// Asked for as long as disks are copied. A full image that cannot be filled has taken all room, and
// so is told.
Result<std::string> DestinationSide::space(const Entry& entry) {
  (void)fill_full_images(entry.job);
  const HostSettings settings = world_.book.settings();
  SpaceReply reply{.free = {},
                   .reserve = settings.space_reserve,
                   .patience = settings.space_patience,
                   .folder = {}};
  std::set<std::filesystem::path> folders;
  // A volume has its whole size from the beginning.
  for (const auto& placement : room_for(entry.job.plan)) {
    if (placement.destination_pool.empty())
      folders.insert(std::filesystem::path(placement.destination_path).parent_path());
  }
  const MemoryFile memory = memory_file(entry.job.plan, entry.name());
  if (memory.most.bytes > 0) folders.insert(memory.path.parent_path());
  for (const auto& folder : folders) {
    const auto free = free_bytes(folder);
    if (!free || (!reply.folder.empty() && reply.free <= *free)) continue;
    reply.free = *free;
    reply.folder = folder.string();
  }
  if (reply.folder.empty())
    return fail(ErrorCode::kConflict, "Move {} copies no file.", entry.job.move_id);
  return to_json(reply);
}

}  // namespace drover::move
