// SPDX-License-Identifier: Apache-2.0
#include "move/residue/quarantine.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

#include "base/log.h"
#include "hypervisor/disk_image.h"
#include "json/model_json.h"
#include "move/cold/cold_files.h"
#include "move/peer_messages.h"
#include "move/residue/residue.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kKeepTime = 24h;
constexpr auto kAskLimit = 5s;

Result<std::vector<QuarantinedDisk>> disks_of(World& world, std::string_view move_id) {
  ASSIGN_OR_RETURN(auto disks, world.journal.quarantine());
  std::erase_if(disks, [&](const auto& disk) { return disk.move_id != move_id; });
  if (disks.empty())
    return fail(ErrorCode::kNotFound, "Nothing of a move {} is in quarantine on {}.", move_id,
                world.host_name);
  return disks;
}

void refresh_pools(World& world, const std::vector<std::string>& paths) {
  std::set<std::string> folders;
  for (const auto& path : paths) folders.insert(std::filesystem::path(path).parent_path().string());
  for (const auto& folder : folders) (void)world.hypervisor.refresh_pool(folder);
}

Status put_aside(World& world, const SourceJob& job, const KnownFile& file) {
  const Move& move = job.move;
  const FileIdentity identity = identity_of(file);
  RETURN_IF_ERROR(check_unused(world, file.path, move.plan.vm.uuid));
  if (move.plan.request.disposal == SourceDisposal::kDeleteNow)
    return remove_image(file.path, identity);
  QuarantinedDisk disk;
  disk.move_id = move.id;
  disk.vm_uuid = move.plan.vm.uuid;
  disk.vm_name = move.plan.vm.name;
  disk.original_path = file.path;
  disk.kept_path = quarantine_path(file.path, move.id);
  set_identity(disk, identity);
  for (const auto& placement : move.plan.placements) {
    if (placement.target == file.target) disk.allocated = placement.allocated;
  }
  if (file.target == kItemSaved) {
    std::error_code gone;
    const auto length = std::filesystem::file_size(disk.kept_path, gone);
    if (!gone) disk.allocated = {length};
  }
  for (const auto& layer : move.plan.files) {
    if (layer.source_path == file.path) disk.allocated = layer.allocated;
  }
  disk.since = std::chrono::system_clock::now();
  if (move.plan.request.disposal == SourceDisposal::kQuarantine)
    disk.until = disk.since + kKeepTime;
  RETURN_IF_ERROR(world.journal.add_quarantined(disk));
  RETURN_IF_ERROR(quarantine_image(file.path, identity, move.id));
  return {};
}

// "Elsewhere" is every paired host that answers; one that does not might run it, so it counts as a
// no.
Status check_runs_nowhere(World& world, const QuarantinedDisk& disk) {
  const auto here = world.hypervisor.run_state(disk.vm_uuid);
  if (!here) return std::unexpected(here.error());
  if (here->kind != RunState::Kind::kAbsent) {
    return fail(ErrorCode::kConflict,
                "{} is on {} again ({}); its former disk is not given back over it.", disk.vm_name,
                world.host_name, here->reason);
  }
  for (const auto& peer : world.book.peers()) {
    if (peer.state != PeerState::kPaired) continue;
    const auto text = world.peers.call(peer.name, verb::kVms, "{}", Deadline::after(kAskLimit));
    if (!text) {
      return std::unexpected(wrap(text.error(), fmt::format("{} does not say whether it runs {}.",
                                                            peer.name, disk.vm_name)));
    }
    ASSIGN_OR_RETURN(const auto vms, json::vms_from_json(*text, json::Unknown::kIgnore));
    for (const auto& vm : vms) {
      if (vm.uuid == disk.vm_uuid && vm.state != VmState::kOff) {
        return fail(ErrorCode::kConflict, "{} runs on {}. Fix: shut it down there first.",
                    disk.vm_name, peer.name);
      }
    }
  }
  return {};
}

}  // namespace

// A file that some domain here still names, directly or below one of its images, is nobody's to
// touch.
Status check_unused(World& world, const std::string& path, std::string_view vm_uuid) {
  ASSIGN_OR_RETURN(const auto vms, world.hypervisor.list_vms());
  for (const auto& vm : vms) {
    if (vm.uuid == vm_uuid) continue;
    for (const auto& disk : vm.disks) {
      if (disk.path == path ||
          std::ranges::find(disk.backing_chain, path) != disk.backing_chain.end()) {
        return fail(ErrorCode::kConflict, "{} is also used by {}; it stays as it is.", path,
                    vm.name);
      }
    }
  }
  return {};
}

Result<bool> is_used(World& world, const std::string& path, std::string_view vm_uuid) {
  const Status unused = check_unused(world, path, vm_uuid);
  if (unused) return false;
  if (unused.error().code == ErrorCode::kConflict) return true;
  return std::unexpected(unused.error());
}

Status quarantine_files(World& world, const SourceJob& job) {
  std::vector<std::string> paths;
  for (const auto& file : job.files) {
    RETURN_IF_ERROR(put_aside(world, job, file));
    paths.push_back(file.path);
  }
  refresh_pools(world, paths);
  return {};
}

Status restore_quarantine(World& world, std::string_view move_id) {
  ASSIGN_OR_RETURN(const auto disks, disks_of(world, move_id));
  if (is_unfinished(world, move_id)) {
    return fail(ErrorCode::kConflict,
                "What move {} left is an unfinished copy of {}'s disks: the disks themselves never "
                "left their host. Fix, if the space is wanted: drover quarantine drop {}.",
                move_id, disks.front().vm_name, move_id);
  }
  RETURN_IF_ERROR(check_runs_nowhere(world, disks.front()));
  std::vector<std::string> paths;
  for (const auto& disk : disks) {
    RETURN_IF_ERROR(restore_image(disk.original_path, identity_of(disk), move_id));
    RETURN_IF_ERROR(world.journal.remove_quarantined(disk));
    paths.push_back(disk.original_path);
  }
  refresh_pools(world, paths);
  return {};
}

Status drop_quarantine(World& world, std::string_view move_id) {
  ASSIGN_OR_RETURN(const auto disks, disks_of(world, move_id));
  std::vector<std::string> paths;
  for (const auto& disk : disks) {
    RETURN_IF_ERROR(check_unused(world, disk.kept_path, ""));
    RETURN_IF_ERROR(remove_image(disk.kept_path, identity_of(disk)));
    RETURN_IF_ERROR(world.journal.remove_quarantined(disk));
    paths.push_back(disk.kept_path);
  }
  refresh_pools(world, paths);
  return {};
}

void expire_quarantine(World& world) {
  const auto disks = world.journal.quarantine();
  if (!disks) return;
  std::set<std::string> moves;
  for (const auto& disk : *disks) {
    if (disk.until && *disk.until < std::chrono::system_clock::now()) moves.insert(disk.move_id);
  }
  for (const auto& move : moves) {
    if (auto dropped = drop_quarantine(world, move); !dropped) {
      log::warning("The quarantine of move {} is past its time and stays: {}", move,
                   dropped.error().text());
    } else {
      log::info("The quarantine of move {} was past its time and is dropped.", move);
    }
  }
}

}  // namespace drover::move
