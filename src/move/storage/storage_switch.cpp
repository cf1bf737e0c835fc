// SPDX-License-Identifier: Apache-2.0
// The switch of a storage move, and what proves it: the VM's definitions, read again.
#include <algorithm>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "hypervisor/adapt_definition.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/saved_memory.h"
#include "move/image_fence.h"
#include "move/storage/storage_files.h"
#include "move/storage/storage_move.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kLookLeast = 2ms, kLookMost = 50ms;
constexpr auto kAskAgain = 1s;
constexpr int kSwitchAttempts = 5;

// What a definition has for a disk: a path, or nothing where there is no such disk or it is no
// file.
Result<std::string> path_in(const std::string& xml, const std::string& target) {
  ASSIGN_OR_RETURN(const DomainFacts facts, parse_domain(xml));
  const auto disk = std::ranges::find_if(
      facts.disks, [&](const DiskFacts& other) { return other.disk.target == target; });
  return disk == facts.disks.end() ? std::string() : disk->disk.path;
}

}  // namespace

bool StorageMove::has_moved(const DiskPlacement& placement) const {
  return std::ranges::find(moved_, placement.target) != moved_.end();
}

// Tells QEMU to use the copy, and waits until the copying is over. How it ended is read from the
// definitions (verify). A copy that QEMU does not take stays a copy, and the disk the disk.
StepResult StorageMove::switch_disk(const DiskPlacement& placement) {
  if (std::ranges::find(job_.switched, placement.target) == job_.switched.end()) {
    job_.switched.push_back(placement.target);
    while (!save()) {
      if (!pause_for(kAskAgain)) return leave();
    }
  }
  std::chrono::milliseconds look = kLookLeast;
  for (int attempts = 0; true; look = std::min(look * 2, kLookMost)) {
    if (stop_.stop_requested()) return leave();
    const auto now = world_.hypervisor.disk_copy(uuid(), placement.target);
    if (!now && now.error().code == ErrorCode::kUnavailable) {
      if (!pause_for(kAskAgain)) return leave();
      continue;
    }
    if (!now || now->state == DiskCopy::State::kNone) return {};
    if (now->state == DiskCopy::State::kReady) {
      const Status told = world_.hypervisor.end_disk_copy(
          uuid(), placement.target,
          attempts < kSwitchAttempts ? DiskCopyEnd::kSwitch : DiskCopyEnd::kDrop);
      if (!told) {
        log::warning("Move {}: {}", job_.move.id, told.error().text());
        if (!switch_error_ && attempts + 1 >= kSwitchAttempts) switch_error_ = told.error();
        ++attempts;
        if (!pause_for(kAskAgain)) return leave();
      }
    }
    if (!pause_for(look)) return leave();
  }
}

// Of a VM that is off: its definition names the new images from here on. The fence is what says
// that the copies are equal to the disks.
StepResult StorageMove::redefine() {
  const auto xml = world_.hypervisor.definition(uuid(), DefinitionKind::kPersistent);
  if (!xml) return undo_because(xml.error());
  bool all_there = true, all_here = true;
  for (const DiskPlacement& placement : job_.move.plan.placements) {
    const auto path = path_in(*xml, placement.target);
    if (!path) return undo_because(path.error());
    all_there = all_there && *path == placement.destination_path;
    all_here = all_here && (*path == placement.source_path || path->empty());
  }
  if (all_there) return {};
  if (!all_here) {
    return undo_because(
        Error{ErrorCode::kConflict,
              Retry::kNow,
              fmt::format("The definition of {} was changed while its disks were being copied.",
                          vm_name()),
              {}});
  }
  if (!fence_) {
    // Somebody has let its guest go on from its memory, which was told of the new images.
    const auto now = world_.hypervisor.run_state(uuid());
    if (!job_.saved_xml.empty() && now && now->kind != RunState::Kind::kOff) return {};
    return undo_because(
        Error{ErrorCode::kUnavailable,
              Retry::kNow,
              fmt::format("droverd was restarted on {} before the definition was written.",
                          job_.move.source),
              {}});
  }
  const auto written = first_written(volumes_);
  if (!written) return undo_because(written.error());
  if (*written) {
    return undo_because(Error{ErrorCode::kConflict,
                              Retry::kNow,
                              fmt::format("{} was written while it was being copied.", **written),
                              {}});
  }
  const auto adapted = adapt_definition(*xml, job_.move.plan.placements, "");
  if (!adapted) return undo_because(adapted.error());
  for (const DiskPlacement& placement : job_.move.plan.placements)
    job_.switched.push_back(placement.target);
  if (auto saved = save(); !saved) return undo_because(saved.error());
  if (auto told = redefine_memory(); !told) return undo_because(told.error());
  // Whether it was taken is read from it: the answer may be lost.
  if (auto defined = world_.hypervisor.define(*adapted); !defined) switch_error_ = defined.error();
  return {};
}

// Memory that is kept of the VM goes on with the new images. It is told so before the definition: a
// guest that somebody starts in between runs from the new images, which verify() sees; one whose
// memory still had the old ones would run from images that the definition has no more.
Status StorageMove::redefine_memory() {
  const std::string file = saved_memory_file(world_.hypervisor, vm_name());
  if (!job_.move.plan.vm.saved || ::access(file.c_str(), F_OK) != 0) return {};
  ASSIGN_OR_RETURN(SavedMemory* const keeper, saved_memory_of(world_.hypervisor));
  ASSIGN_OR_RETURN(job_.saved_xml, keeper->saved_definition(file));
  ASSIGN_OR_RETURN(const std::string adapted,
                   adapt_definition(job_.saved_xml, job_.move.plan.placements, ""));
  RETURN_IF_ERROR(save());
  return define_saved_for_good(*keeper, file, adapted);
}

Result<StorageMove::Outcome> StorageMove::outcome_of(const DiskPlacement& placement) {
  ASSIGN_OR_RETURN(const RunState state, world_.hypervisor.run_state(uuid()));
  const bool off = state.kind == RunState::Kind::kOff || state.kind == RunState::Kind::kAbsent;
  ASSIGN_OR_RETURN(const std::string xml,
                   world_.hypervisor.definition(
                       uuid(), off ? DefinitionKind::kPersistent : DefinitionKind::kLive));
  ASSIGN_OR_RETURN(const std::string path, path_in(xml, placement.target));
  if (path == placement.destination_path) return Outcome::kMoved;
  if (path != placement.source_path && !path.empty()) return Outcome::kUnclear;
  // QEMU was told to switch, and ended before libvirt wrote down whether it had.
  const bool told = std::ranges::find(job_.switched, placement.target) != job_.switched.end();
  if (off && by_qemu() && told) return Outcome::kUnclear;
  return Outcome::kStayed;
}

StepResult StorageMove::verify() {
  moved_.clear();
  for (const DiskPlacement& placement : job_.move.plan.placements) {
    auto outcome = outcome_of(placement);
    while (!outcome && outcome.error().code == ErrorCode::kUnavailable) {
      if (!pause_for(kAskAgain)) return leave();
      outcome = outcome_of(placement);
    }
    if (!outcome || *outcome == Outcome::kUnclear) {
      Error error = outcome ? Error{ErrorCode::kConflict,
                                    Retry::kNever,
                                    fmt::format("It is not clear which image {} of {} is.",
                                                placement.target, vm_name()),
                                    {}}
                            : outcome.error();
      return parked(std::move(error),
                    fmt::format("Both {} and {} are kept as they are: one of them is the current "
                                "{} of {}. Compare them (virsh domblklist {}; ls -l) before it is "
                                "started again.",
                                placement.source_path, placement.destination_path, placement.target,
                                vm_name(), vm_name()));
    }
    if (*outcome == Outcome::kMoved) moved_.push_back(placement.target);
  }
  std::vector<DiskPlacement> moved;
  for (const DiskPlacement& placement : job_.move.plan.placements) {
    if (has_moved(placement)) moved.push_back(placement);
  }
  if (moved.size() < job_.move.plan.placements.size() && !switch_error_) {
    switch_error_ = Error{ErrorCode::kHypervisor,
                          Retry::kLater,
                          fmt::format("QEMU did not take over the new images of {}.", vm_name()),
                          {}};
  }
  if (moved.empty()) return undo_because(*switch_error_);
  if (moved.size() == job_.move.plan.placements.size()) switch_error_.reset();
  Status written = write_into_persistent(moved);
  if (written) written = sync_new_images();
  if (written && !tell_checkpoints()) return leave();
  if (written) return {};
  return parked(
      written.error(),
      fmt::format("{} uses the new images. The old ones are kept where they are.", vm_name()));
}

// libvirt rewrites the persistent definition by itself where it names the same file as the running
// VM; a volume of a pool it does not know again.
Status StorageMove::write_into_persistent(const std::vector<DiskPlacement>& moved) {
  ASSIGN_OR_RETURN(const std::string xml,
                   world_.hypervisor.definition(uuid(), DefinitionKind::kPersistent));
  std::vector<DiskPlacement> stale;
  for (const DiskPlacement& placement : moved) {
    ASSIGN_OR_RETURN(const std::string path, path_in(xml, placement.target));
    if (path == placement.source_path || path.empty()) stale.push_back(placement);
  }
  if (stale.empty()) return {};
  ASSIGN_OR_RETURN(const std::string adapted, adapt_definition(xml, stale, ""));
  return world_.hypervisor.define(adapted);
}

// The old image may be deleted from now on: what the new one holds must outlive a loss of power.
Status StorageMove::sync_new_images() {
  for (const KnownFile& file : job_.created) {
    if (file.target != kLayer && std::ranges::find(moved_, file.target) == moved_.end()) continue;
    // A logical volume's path is a link.
    const int follow = file.pool.empty() ? O_NOFOLLOW : 0;
    const UniqueFd image(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC | follow));
    if (!image) return fail_errno("Cannot open " + file.path);
    ASSIGN_OR_RETURN(const SeenFile seen, see_file_behind(image.get(), file.path));
    if (file.pool.empty() && seen.identity != identity_of(file))
      return fail(ErrorCode::kConflict, "{} is another file by now.", file.path);
    if (::fsync(image.get()) != 0) return fail_errno("Cannot sync " + file.path);
  }
  return {};
}

void StorageMove::write_report() {
  Report report;
  report.duration = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::system_clock::now() - job_.move.started_at);
  for (const KnownFile& file : job_.created) {
    struct stat found{};
    if (file.target != kLayer && std::ranges::find(moved_, file.target) == moved_.end()) continue;
    const auto placement =
        std::ranges::find(job_.move.plan.placements, file.target, &DiskPlacement::target);
    if (!file.pool.empty() && placement != job_.move.plan.placements.end())
      report.disks_sent += placement->virtual_size;
    else if (::stat(file.path.c_str(), &found) == 0)
      report.disks_sent += {static_cast<std::uint64_t>(found.st_blocks) * 512};
  }
  change([&](Move& move) { move.report = report; });
}

}  // namespace drover::move
