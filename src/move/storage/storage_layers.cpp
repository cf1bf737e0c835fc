// SPDX-License-Identifier: Apache-2.0
// What the disks of a storage move are built on, which goes along byte by byte; and checkpoints,
// which name images by their paths.
#include <algorithm>
#include <map>

#include "base/log.h"
#include "hypervisor/backing_chain.h"
#include "hypervisor/checkpoint_xml.h"
#include "hypervisor/disk_image.h"
#include "move/storage/storage_files.h"
#include "move/storage/storage_move.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kKnowAgain = 500ms;
constexpr int kKnowAttempts = 20;

const KnownFile* file_at(const std::vector<KnownFile>& files, const std::string& path) {
  const auto found = std::ranges::find(files, path, &KnownFile::path);
  return found == files.end() ? nullptr : &*found;
}

}  // namespace

Status StorageMove::make_layers(std::span<const std::string> folders) {
  const auto files = moved_files(job_.move.plan);
  for (const FilePlacement& file : files) {
    if (file_at(job_.files, file.source_path) != nullptr) continue;  // once in several places
    ASSIGN_OR_RETURN(const FileIdentity identity, file_identity(file.source_path));
    job_.files.push_back(known_file(std::string(kLayer), file.source_path, identity));
  }
  for (const FilePlacement& file : files) {
    const DiskPlacement empty{"",   file.source_path, file.destination_path, "raw", {}, {}, {},
                              false};
    RETURN_IF_ERROR(make_image(std::string(kLayer), empty, folders, nullptr));
  }
  return {};
}

// Nobody writes them, whether the VM runs or not.
StepResult StorageMove::copy_layers() {
  for (const FilePlacement& file : moved_files(job_.move.plan)) {
    const KnownFile* from = file_at(job_.files, file.source_path);
    const KnownFile* to = file_at(job_.created, file.destination_path);
    DROVER_CHECK(from != nullptr && to != nullptr);
    auto copied = copy_bytes(*from, *to, below_layer(job_.move.plan, file), file.allocated);
    if (!copied) return copied;
  }
  return {};
}

// While they were being copied somebody may have made a snapshot, or put layers together: the
// mirror would be made on something else. From its beginning on libvirt lets nobody do that.
Status StorageMove::check_layers(const DiskPlacement& placement) {
  std::vector<std::string> planned;
  for (const FilePlacement& file : job_.move.plan.files) {
    if (file.item == placement.target) planned.push_back(file.source_path);
  }
  if (planned.empty()) return {};
  const auto now = world_.hypervisor.disk_copy(uuid(), placement.target);
  const bool other_image = now && !now->disk_path.empty() &&
                           now->disk_path != placement.source_path &&
                           now->disk_path != placement.destination_path;
  if (!other_image && backing_chain_of(placement.source_path, placement.format) == planned)
    return {};
  return std::unexpected(
      Error{ErrorCode::kConflict,
            Retry::kNow,
            fmt::format("What {} of {} is built on has changed since the plan was made.",
                        placement.target, vm_name()),
            {}});
}

// An image that stands on another is told where that lies now.
StepResult StorageMove::copy_bytes(const KnownFile& from, const KnownFile& to,
                                   const FilePlacement* below, ByteCount expected) {
  const auto go_on = [&](ByteCount copied) {
    const double part = expected.bytes == 0 ? 1
                                            : static_cast<double>(copied.bytes) /
                                                  static_cast<double>(expected.bytes);
    show_progress(to.path, std::min(part, 0.99));
    return interrupted().has_value();
  };
  Status copied = copy_whole({from.path, identity_of(from), to.path, identity_of(to),
                              job_.move.plan.request.bandwidth, go_on});
  if (auto interruption = interrupted(); !interruption) return interruption;
  if (copied && below != nullptr) {
    const auto said = backing_name_of(to.path);
    const std::string name = name_below(from.path, to.path, *below);
    if (said && *said != name)
      copied = set_backing_name(to.path, identity_of(to), name, below->format);
  }
  if (!copied) {
    return undo_because(wrap(copied.error(), fmt::format("{} of {} cannot be copied to {}.",
                                                         from.path, vm_name(), to.path)));
  }
  show_progress(to.path, 1);
  return {};
}

std::string StorageMove::name_below(const std::string& image, const std::string& copy,
                                    const FilePlacement& below) const {
  const auto said = backing_name_of(image);
  return said ? backing_name_at(*said, copy, below.destination_path) : below.destination_path;
}

// Whether nothing uses it any more: another VM may, and so may a disk of this one that stayed.
bool StorageMove::is_left(const KnownFile& layer) {
  const auto used = is_used(layer.path);
  if (used && !*used) return true;
  log::info("Move {}: {} is used by others and stays.", job_.move.id, layer.path);
  return false;
}

// libvirt keeps a whole definition with each checkpoint, which names the images by their former
// paths. What it knew is written down before it is said anew. False: droverd is stopping.
bool StorageMove::tell_checkpoints() {
  if (job_.move.plan.vm.snapshots == 0 && job_.checkpoints.empty()) return true;
  std::map<std::string, std::string> paths;
  for (const DiskPlacement& placement : job_.move.plan.placements) {
    if (!has_moved(placement)) continue;
    paths[placement.source_path] = placement.destination_path;
    for (const FilePlacement& file : job_.move.plan.files) {
      if (file.item == placement.target) paths[file.source_path] = file.destination_path;
    }
  }
  Error last;
  for (int attempts = 0; attempts < kKnowAttempts;) {
    // A libvirtd that is away is waited for.
    if (!last.message.empty()) {
      if (last.code != ErrorCode::kUnavailable) ++attempts;
      if (!pause_for(kKnowAgain)) return false;
    }
    if (!job_.checkpoints_forgotten) {
      auto known = world_.hypervisor.checkpoints(uuid());
      if (!known) {
        last = known.error();
        continue;
      }
      if (known->empty()) return true;
      job_.checkpoints = std::move(*known);
      job_.checkpoints_forgotten = true;
      if (auto saved = save(); !saved) {
        job_.checkpoints_forgotten = false;
        last = saved.error();
        continue;
      }
    }
    auto adapted = job_.checkpoints;
    for (CheckpointText& text : adapted) {
      if (auto xml = adapt_checkpoint(text.xml, paths)) text.xml = std::move(*xml);
    }
    const Status told = world_.hypervisor.know_checkpoints(uuid(), adapted);
    if (told) {
      job_.checkpoints_forgotten = false;
      (void)save();
      return true;
    }
    last = told.error();
  }
  log::warning("Move {}: libvirt does not take the checkpoints of {}: {}", job_.move.id, vm_name(),
               last.text());
  change([&](Move& move) {
    move.explanation = fmt::format(
        "The disks of {} lie in their new place, but libvirt does not take its checkpoints: {} "
        "Their images are whole, and what libvirt knew is in the journal.",
        move.plan.vm.name, last.text());
  });
  return true;
}

}  // namespace drover::move
