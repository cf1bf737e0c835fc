// SPDX-License-Identifier: Apache-2.0
// Disks that become volumes of pools of block devices here: made by libvirt, each written down
// before, and deleted again if the move is undone.
#include <algorithm>

#include "base/log.h"
#include "hypervisor/allowed_folder.h"
#include "move/destination/destination_rules.h"
#include "move/destination/destination_side.h"
#include "move/residue/quarantine.h"
#include "move/volumes.h"

namespace drover::move {
namespace {

// libvirt has said that it is not there: whoever made it, it was not this move.
bool is_another(const Error& error) { return error.code == ErrorCode::kConflict; }

}  // namespace

void allow_volumes(const Plan& plan, gate::AdministratorRules& rules) {
  for (const DiskPlacement& placement : plan.placements) {
    if (!placement.destination_pool.empty() && !placement.shared)
      rules.block_devices.push_back(placement.destination_path);
  }
}

// A peer may name only a volume that is not there, of a pool that is.
Status DestinationSide::check_volumes(const ReserveRequest& request) const {
  for (const DiskPlacement& placement : request.plan.placements) {
    const std::string& pool_name = placement.destination_pool;
    if (pool_name.empty()) continue;
    ASSIGN_OR_RETURN(const VolumePool pool, world_.hypervisor.volume_pool(pool_name));
    const std::string& path = placement.destination_path;
    const std::string name = volume_of(path);
    if (!is_plain_path(path) || path != fmt::format("{}/{}", pool.folder, name) ||
        placement.format != "raw" || placement.shared) {
      return fail(ErrorCode::kPolicy, "{} is no new volume of the pool {} on {}.", path, pool_name,
                  world_.host_name);
    }
    if (std::ranges::find(pool.volumes, name) != pool.volumes.end()) {
      return fail(ErrorCode::kConflict, "{} exists already on {}. Fix: plan the move again.", path,
                  world_.host_name);
    }
    if (pool.free < placement.virtual_size) {
      return std::unexpected(Error{
          ErrorCode::kNoSpace,
          Retry::kLater,
          fmt::format("The pool {} on {} has {} free; {} needs {}.", pool_name, world_.host_name,
                      to_text(pool.free), placement.target, to_text(placement.virtual_size)),
          {}});
    }
  }
  return {};
}

// Written down before it is made, by its name, and then by its key.
Status DestinationSide::create_volume(Entry& entry, const DiskPlacement& placement) {
  const std::string& path = placement.destination_path;
  const std::string name = volume_of(path);
  ASSIGN_OR_RETURN(const auto there,
                   world_.hypervisor.find_volume(placement.destination_pool, name));
  if (there) return fail(ErrorCode::kConflict, "{} exists already on {}.", path, world_.host_name);
  KnownFile file = known_file(placement.target, path, {});
  file.pool = placement.destination_pool;
  entry.job.created.push_back(file);
  RETURN_IF_ERROR(save(entry));
  const auto made = world_.hypervisor.create_volume(file.pool, name, placement.virtual_size);
  if (!made) {
    if (is_another(made.error())) {
      entry.job.created.pop_back();
      RETURN_IF_ERROR(save(entry));
    }
    return std::unexpected(made.error());
  }
  entry.job.created.back().key = made->key;
  RETURN_IF_ERROR(save(entry));
  if (made->path == path) return {};
  return fail(ErrorCode::kHypervisor, "libvirt made {} where {} was expected.", made->path, path);
}

// What a VM here uses by now is nobody's to delete; nor is what has only the name of the volume
// that was to be made when droverd died: somebody else may have made it since.
Status DestinationSide::remove_volume(const Entry& entry, const KnownFile& file) {
  if (entry.job.abandoned) {
    log::warning("Move {}: the volume {} is kept as it is.", entry.job.move_id, file.path);
    return {};
  }
  if (file.key.empty()) {
    tell_unknown_volume(world_, entry.job.move_id, file);
    return {};
  }
  const Status unused = check_unused(world_, file.path, entry.job.plan.vm.uuid);
  if (!unused && !is_another(unused.error())) return unused;
  const Status deleted =
      unused ? world_.hypervisor.delete_volume(file.pool, volume_of(file.path), file.key) : unused;
  if (deleted || !is_another(deleted.error())) return deleted;
  log::warning("Move {}: {}", entry.job.move_id, deleted.error().text());
  return {};
}

}  // namespace drover::move
