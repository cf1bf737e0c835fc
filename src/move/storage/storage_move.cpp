// SPDX-License-Identifier: Apache-2.0
// The main flow of a storage move. Read it top to bottom; each step is journaled before it acts.
#include "move/storage/storage_move.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include <fcntl.h>

#include "base/log.h"
#include "move/image_fence.h"
#include "move/plan/planner.h"
#include "move/residue/quarantine.h"
#include "move/storage/storage_files.h"
#include "move/volumes.h"

namespace drover::move {

namespace {

using namespace std::chrono_literals;

constexpr auto kPlanFresh = 30s;
constexpr auto kSlotRetry = 200ms;

}  // namespace

const std::vector<StorageMove::Step<StorageMove>>& StorageMove::steps() {
  static const std::vector<Step<StorageMove>> kSteps = {
      // Nothing has been touched.
      {Phase::kPlan, &StorageMove::plan},
      {Phase::kAdmit, &StorageMove::admit},
      // From here empty images exist, and a VM that is off cannot be started. Undo removes them.
      {Phase::kPrepare, &StorageMove::prepare},
      // From here copies grow, by QEMU or qemu-img. Undo ends them; the VM never noticed.
      {Phase::kCopyDisks, &StorageMove::copy},
      // From here the definitions decide which image is a disk's, not the outcome of any call.
      {Phase::kSwitch, &StorageMove::switch_over},
      {Phase::kVerify, &StorageMove::verify},
      // From here it is proven which disks lie in their new place. Only forward.
      {Phase::kSettle, &StorageMove::settle},
  };
  return kSteps;
}

StorageMove::StorageMove(World& world, SourceJob job, MoveListener changed)
    : MoveWork(world, std::move(job), std::move(changed)) {}

StorageMove::~StorageMove() = default;

// After a restart of droverd. What QEMU copies went on without us; any other copy has ended, and
// nothing kept the VM from being started since: that begins anew.
void StorageMove::go_on(Phase reached) {
  if (reached >= Phase::kSwitch) return run_from(std::min(reached, Phase::kVerify));
  if (!job_.begun.empty()) return run_from(Phase::kCopyDisks);
  if (!remove_created()) return;
  run_from(Phase::kPlan);
}

void StorageMove::end(const StepResult& result) {
  if (!result && result.error().then == AfterFailure::kLeave) {
    log::info("Move {}: left as it is; droverd is stopping.", job_.move.id);
    return;
  }
  if (!result && result.error().then == AfterFailure::kUndo) {
    if (!undo() || another_follows(result.error().error)) return;
  }
  fence_.reset();
  world_.slots.give_back(Slots::Way::kStorage, job_.move.id);
  Ending ending{
      fmt::format("The disks of {} lie in their new place.", vm_name()),
      fmt::format("The disks of {} lie where they lay.", vm_name()),
      "",
  };
  if (rehearsed_ && !result && result.error().then == AfterFailure::kUndo)
    ending.rehearsed = "The new images were made, and removed again. " + ending.undone;
  finish(result, ending);
  deleted_.clear();
}

Status StorageMove::cancel() {
  RETURN_IF_ERROR(check_running());
  const std::lock_guard lock(mutex_);
  if (job_.move.phase >= Phase::kSwitch) {
    return fail(ErrorCode::kConflict,
                "Move {} is switching over to the new images: it ends by itself. Watch it: drover "
                "show {}.",
                job_.move.id, job_.move.id);
  }
  cancel_asked_ = true;
  return {};
}

// The plan that the move was started with is a moment old. After a wait it is made anew: the world
// may have changed, and a new blocker or warning ends the move.
StepResult StorageMove::plan() {
  const bool first = job_.move.attempts.empty();
  if (!first || std::chrono::system_clock::now() - job_.move.plan.made_at >= kPlanFresh) {
    auto planned = plan_move(world_, job_.move.plan.request);
    if (!planned) return undo_because(planned.error());
    if (auto allowed = check_acceptance(planned->plan); !allowed)
      return undo_because(allowed.error());
    const std::lock_guard lock(mutex_);
    planned->plan.id = job_.move.plan.id;
    job_.move.plan = std::move(planned->plan);
    job_.persistent_xml = std::move(planned->persistent_xml);
  }
  const auto now = world_.hypervisor.run_state(uuid());
  if (!now) return undo_because(now.error());
  const bool runs = now->kind != RunState::Kind::kOff;
  if (runs == by_qemu()) return {};
  return undo_because(
      Error{ErrorCode::kConflict,
            Retry::kNow,
            fmt::format("{} was {} since the plan was made. Ask for the move again.", vm_name(),
                        runs ? "started" : "shut off"),
            {}});
}

// The engine has taken a place before it let the move begin (Engine::begin_here).
StepResult StorageMove::admit() {
  while (!world_.slots.take(Slots::Way::kStorage, job_.move.id,
                            world_.book.settings().storage_moves)) {
    if (auto interruption = interrupted(); !interruption) return interruption;
    pause_for(kSlotRetry);
  }
  return {};
}

StepResult StorageMove::prepare() {
  if (!by_qemu()) {
    // The VM cannot be started in the middle of the copy.
    auto fenced = fence_unwritten(job_.move.plan);
    if (!fenced) return undo_because(fenced.error());
    fence_ = std::move(*fenced);
    auto stamps = stamp_volumes(job_.move.plan);
    if (!stamps) return undo_because(stamps.error());
    volumes_ = std::move(*stamps);
  }
  if (auto made = make_images(); !made) return undo_because(made.error());
  return {};
}

StepResult StorageMove::copy() {
  if (job_.move.plan.request.rehearse) {
    rehearsed_ = true;
    return undo_because(Error{ErrorCode::kCancelled, Retry::kNever, "It was a rehearsal.", {}});
  }
  copying_since_ = std::chrono::steady_clock::now();
  // What a mirror that goes on already is built on was copied before.
  if (job_.begun.empty()) {
    if (auto copied = copy_layers(); !copied) return copied;
  }
  for (const DiskPlacement& placement : job_.move.plan.placements) {
    auto copied = by_qemu()                    ? mirror(placement)
                  : is_copied_whole(placement) ? copy_image(placement)
                                               : convert(placement);
    if (!copied) return copied;
  }
  return {};
}

StepResult StorageMove::switch_over() {
  if (!by_qemu()) return redefine();
  for (const DiskPlacement& placement : job_.move.plan.placements) {
    if (auto switched = switch_disk(placement); !switched) return switched;
  }
  return {};
}

// Images that are deleted lose their names at once, and their room a moment later, when nobody
// waits for the move any more: a file system takes its time over a large one.
void StorageMove::hold_deleted(const SourceJob& moved) {
  if (moved.move.plan.request.disposal != SourceDisposal::kDeleteNow) return;
  for (const KnownFile& file : moved.files)
    deleted_.emplace_back(::open(file.path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

// The old images of what has moved go to quarantine; a disk that has not moved keeps its own, and
// the undo removes its copy.
StepResult StorageMove::settle() {
  fence_.reset();
  SourceJob moved = job_;
  std::erase_if(moved.files, [&](const KnownFile& file) {
    if (file.target == kLayer) return !is_left(file);
    return std::ranges::find(moved_, file.target) == moved_.end();
  });
  hold_deleted(moved);
  if (auto kept = quarantine_files(world_, moved); !kept) {
    return parked(kept.error(),
                  fmt::format("The disks of {} lie in their new place. The old images could not be "
                              "put aside: they are not used any more.",
                              vm_name()));
  }
  std::set<std::string> folders;
  for (const KnownFile& file : job_.created)
    folders.insert(std::filesystem::path(file.path).parent_path().string());
  for (const auto& folder : folders) (void)world_.hypervisor.refresh_pool(folder);
  write_report();
  if (!switch_error_) return {};
  change([&](Move& move) {
    move.explanation = "Not all disks have moved:";
    for (const DiskPlacement& placement : move.plan.placements) {
      move.explanation +=
          fmt::format(" {} is {};", placement.target,
                      has_moved(placement) ? placement.destination_path : placement.source_path);
    }
    move.explanation.back() = '.';
  });
  return undo_because(*switch_error_);
}

}  // namespace drover::move
