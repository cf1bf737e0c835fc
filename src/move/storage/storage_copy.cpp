// SPDX-License-Identifier: Apache-2.0
// The copying of a storage move: new images, and what fills them.
#include <algorithm>

#include <fcntl.h>

#include "base/log.h"
#include "hypervisor/disk_image.h"
#include "move/storage/storage_files.h"
#include "move/storage/storage_move.h"
#include "move/volumes.h"
#include "preflight/image_format.h"
#include "preflight/placement.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

// How late the end of a copy may be noticed: of a short one little, and none is asked for often.
constexpr std::chrono::milliseconds kLookLeast = 5ms, kLookMost = 100ms;
constexpr auto kShowInterval = 250ms;
constexpr auto kAskAgain = 1s;  // a libvirtd that is being restarted
constexpr int kCopiedPercent = 98;

// To be filled byte by byte.
DiskPlacement empty_file(const DiskPlacement& placement) {
  return {placement.target,
          placement.source_path,
          placement.destination_path,
          "raw",
          {},
          {},
          {},
          false};
}

double part_of(ByteCount done, ByteCount total) {
  if (total.bytes == 0) return 0;
  return std::min(1.0, static_cast<double>(done.bytes) / static_cast<double>(total.bytes));
}

// Until the next look at a copy that has come so far in this time: the nearer its end, the sooner.
std::chrono::milliseconds until_look(std::chrono::steady_clock::time_point begun, double part) {
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - begun;
  const double left = part > 0 ? taken.count() * (1 - part) / part : taken.count();
  return std::clamp(std::chrono::milliseconds(static_cast<std::int64_t>(left / 4)), kLookLeast,
                    kLookMost);
}

}  // namespace

Status StorageMove::make_images() {
  ASSIGN_OR_RETURN(const HostFacts facts, world_.hypervisor.host_facts());
  const auto folders = preflight::usable_folders(facts, world_.book.settings());
  job_.files.clear();
  for (const DiskPlacement& placement : job_.move.plan.placements) {
    if (!placement.source_pool.empty()) continue;  // a volume stays as it is
    ASSIGN_OR_RETURN(const FileIdentity identity, file_identity(placement.source_path));
    job_.files.push_back(known_file(placement.target, placement.source_path, identity));
  }
  RETURN_IF_ERROR(make_layers(folders));
  for (const DiskPlacement& placement : job_.move.plan.placements) {
    const FilePlacement* below = below_image(job_.move.plan, placement);
    if (!placement.destination_pool.empty()) {
      RETURN_IF_ERROR(make_volume(placement));
    } else if (is_copied_whole(placement)) {
      RETURN_IF_ERROR(make_image(placement.target, empty_file(placement), folders, nullptr));
    } else if (below == nullptr) {
      RETURN_IF_ERROR(make_image(placement.target, placement, folders, nullptr));
    } else {
      FilePlacement named = *below;
      named.destination_path =
          name_below(placement.source_path, placement.destination_path, *below);
      RETURN_IF_ERROR(make_image(placement.target, placement, folders, &named));
    }
  }
  return {};
}

Status StorageMove::make_image(const std::string& target, const DiskPlacement& image,
                               std::span<const std::string> folders, const FilePlacement* below) {
  RETURN_IF_ERROR(check_nothing_at(image.destination_path));
  job_.created.push_back(known_file(target, image.destination_path, {}));
  RETURN_IF_ERROR(save());
  const auto identity = create_image(image, folders, below);
  if (!identity) {
    job_.created.pop_back();
    return std::unexpected(identity.error());
  }
  job_.created.back() = known_file(target, image.destination_path, *identity);
  return save();
}

// As make_image; libvirt makes it, and none that is there already.
Status StorageMove::make_volume(const DiskPlacement& placement) {
  const std::string name = volume_of(placement.destination_path);
  const std::string& pool = placement.destination_pool;
  ASSIGN_OR_RETURN(const auto there, world_.hypervisor.find_volume(pool, name));
  if (there) return fail(ErrorCode::kConflict, "{} exists already.", placement.destination_path);
  KnownFile file = known_file(placement.target, placement.destination_path, {});
  file.pool = pool;
  job_.created.push_back(std::move(file));
  RETURN_IF_ERROR(save());
  const auto made = world_.hypervisor.create_volume(pool, name, placement.virtual_size);
  if (!made) {
    if (made.error().code == ErrorCode::kConflict) job_.created.pop_back();
    return std::unexpected(made.error());
  }
  job_.created.back().key = made->key;
  RETURN_IF_ERROR(save());
  if (made->path == placement.destination_path) return {};
  return fail(ErrorCode::kHypervisor, "libvirt made {} where {} was expected.", made->path,
              placement.destination_path);
}

// With all that it has beside what its guest sees.
bool StorageMove::is_copied_whole(const DiskPlacement& placement) const {
  const bool files = placement.source_pool.empty() && placement.destination_pool.empty();
  return files && !by_qemu() && !placement.allocation && !becomes_one(job_.move.plan, placement) &&
         preflight::format_now(job_.move.plan, placement) == placement.format;
}

// By the VM's own QEMU. It ends here once the copy is complete; from then on it is written like the
// disk until the switch.
StepResult StorageMove::mirror(const DiskPlacement& placement) {
  const bool resumed = std::ranges::find(job_.begun, placement.target) != job_.begun.end();
  if (resumed) {
    const auto now = world_.hypervisor.disk_copy(uuid(), placement.target);
    // What is in the image now is not known: it is not begun a second time.
    if (now && now->state == DiskCopy::State::kNone) return undo_because(copy_lost(placement));
  } else {
    job_.begun.push_back(placement.target);
    if (auto saved = save(); !saved) return undo_because(saved.error());
  }
  const DiskCopyCall call{uuid(),
                          placement.target,
                          placement.destination_path,
                          placement.format,
                          placement.virtual_size,
                          job_.move.plan.request.bandwidth,
                          placement.allocation,
                          !placement.destination_pool.empty()};
  while (true) {
    const auto begun = world_.hypervisor.copy_disk(call);
    if (begun) break;
    if (begun.error().code != ErrorCode::kUnavailable) {
      return undo_because(wrap(
          begun.error(), fmt::format("{} of {} cannot be copied.", placement.target, vm_name())));
    }
    if (auto interruption = interrupted(); !interruption) return interruption;
    pause_for(kAskAgain);
  }
  if (auto same = check_layers(placement); !same) return undo_because(same.error());
  return follow_mirror(placement);
}

StepResult StorageMove::follow_mirror(const DiskPlacement& placement) {
  const auto begun = std::chrono::steady_clock::now();
  const UniqueFd copy(
      ::open(placement.destination_path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  while (true) {
    if (auto interruption = interrupted(); !interruption) return interruption;
    // So that QEMU's flush at the end does not find all of it waiting.
    (void)::sync_file_range(copy.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
    const auto now = world_.hypervisor.disk_copy(uuid(), placement.target);
    if (!now && now.error().code == ErrorCode::kUnavailable) {
      pause_for(kAskAgain);
      continue;
    }
    if (!now || now->state == DiskCopy::State::kNone) return undo_because(copy_lost(placement));
    if (now->copy_path != placement.destination_path) {
      return undo_because(Error{ErrorCode::kConflict,
                                Retry::kNever,
                                fmt::format("{} of {} is being copied to {} by somebody else.",
                                            placement.target, vm_name(), now->copy_path),
                                {}});
    }
    if (now->state == DiskCopy::State::kReady) {
      if (auto filled = fill(placement); !filled) return undo_because(filled.error());
      show_progress(placement.destination_path, 1);
      return {};
    }
    const double part = part_of(now->done, now->total);
    show_progress(placement.destination_path, part);
    pause_for(until_look(begun, part));
  }
}

// Where the disk's definition lets QEMU make holes, the copy's empty parts have become some.
Status StorageMove::fill(const DiskPlacement& placement) {
  const KnownFile* const image = created(placement.target);
  if (placement.allocation != Allocation::kFull || image == nullptr) return {};
  return fill_holes(image->path, identity_of(*image));
}

// Why QEMU copies no more.
Error StorageMove::copy_lost(const DiskPlacement& placement) {
  const auto now = world_.hypervisor.run_state(uuid());
  if (now && (now->kind == RunState::Kind::kOff || now->kind == RunState::Kind::kAbsent)) {
    return {ErrorCode::kConflict,
            Retry::kNow,
            fmt::format("{} was shut off while its disks were being copied.", vm_name()),
            {}};
  }
  return {ErrorCode::kHypervisor,
          Retry::kLater,
          fmt::format("QEMU gave up copying {} of {} to {}. Its log says why: "
                      "/var/log/libvirt/qemu/{}.log. A file system that is full is the usual "
                      "reason.",
                      placement.target, vm_name(), placement.destination_path, vm_name()),
          {}};
}

StepResult StorageMove::copy_image(const DiskPlacement& placement) {
  const KnownFile* from = former(placement.target);
  const KnownFile* to = created(placement.target);
  DROVER_CHECK(from != nullptr && to != nullptr);
  return copy_bytes(*from, *to, below_image(job_.move.plan, placement), placement.allocated);
}

StepResult StorageMove::convert(const DiskPlacement& placement) {
  const KnownFile* from = former(placement.target);
  const KnownFile* to = created(placement.target);
  const auto from_volume = volume_at_source(placement);
  DROVER_CHECK((from != nullptr || from_volume) && to != nullptr);
  ImageCopyCall call{placement.source_path,
                     from_volume ? FileIdentity{} : identity_of(*from),
                     to->path,
                     identity_of(*to),
                     preflight::format_now(job_.move.plan, placement),
                     placement.format,
                     job_.move.plan.request.bandwidth,
                     from_volume,
                     {}};
  if (!placement.destination_pool.empty()) call.to_volume = placement.virtual_size;
  auto copy = ImageCopy::start(call);
  if (!copy) return undo_because(copy.error());
  const auto begun = std::chrono::steady_clock::now();
  while (!copy->ended()) {
    if (auto interruption = interrupted(); !interruption) return interruption;
    const double part = part_of(copy->written(), placement.allocated);
    show_progress(placement.destination_path, part);
    pause_for(until_look(begun, part));
  }
  if (auto done = copy->result(); !done) {
    return undo_because(
        wrap(done.error(), fmt::format("{} of {} cannot be copied to {}.", placement.target,
                                       vm_name(), placement.destination_path)));
  }
  show_progress(placement.destination_path, 1);
  return {};
}

void StorageMove::show_progress(const std::string& destination_path, double part) {
  const auto now = std::chrono::steady_clock::now();
  if (part < 1 && now - shown_at_ < kShowInterval) return;
  shown_at_ = now;
  ByteCount done, total;
  bool before = true;
  const auto count = [&](const auto& other) {
    total += other.allocated;
    if (other.destination_path == destination_path) {
      done += {static_cast<std::uint64_t>(part * static_cast<double>(other.allocated.bytes))};
      before = false;
    } else if (before) {
      done += other.allocated;
    }
  };
  std::ranges::for_each(moved_files(job_.move.plan), count);
  std::ranges::for_each(job_.move.plan.placements, count);
  const double seconds = std::chrono::duration<double>(now - copying_since_).count();
  const double rate = seconds > 0.5 ? static_cast<double>(done.bytes) / seconds : 0;
  {
    const std::lock_guard lock(mutex_);
    Progress& progress = job_.move.progress;
    progress.percent =
        std::max(progress.percent, static_cast<int>(kCopiedPercent * part_of(done, total)));
    progress.disks = {done, total, {static_cast<std::uint64_t>(rate)}, {}};
    progress.elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now() - job_.move.started_at);
    progress.left_least.reset();
    progress.left_most.reset();
    if (rate > 1) {
      const double left = static_cast<double>((total - done).bytes) / rate;
      progress.left_least = std::chrono::milliseconds(static_cast<std::int64_t>(left * 800));
      progress.left_most = std::chrono::milliseconds(static_cast<std::int64_t>(left * 1500 + 1000));
    }
  }
  changed_(MoveChange::kProgress, snapshot());
}

const KnownFile* StorageMove::created(const std::string& target) const {
  const auto found = std::ranges::find(job_.created, target, &KnownFile::target);
  return found == job_.created.end() ? nullptr : &*found;
}

const KnownFile* StorageMove::former(const std::string& target) const {
  const auto found = std::ranges::find(job_.files, target, &KnownFile::target);
  return found == job_.files.end() ? nullptr : &*found;
}

}  // namespace drover::move
