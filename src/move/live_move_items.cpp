// SPDX-License-Identifier: Apache-2.0
// What travels beside disks and memory, the source's side: files that disks stand on are compared
// with the destination's, and libvirt forgets the VM's checkpoints for as long as it moves.
#include <algorithm>

#include <fcntl.h>

#include "base/log.h"
#include "content/file_digest.h"
#include "move/live_move.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

// The destination reads the whole file meanwhile.
constexpr auto kCompareLimit = 30min;
constexpr auto kKnowLimit = 60s;
constexpr auto kKnowAgain = 500ms;

std::unexpected<StepFailure> undo_because(Error error) {
  return std::unexpected(StepFailure{AfterFailure::kUndo, std::move(error)});
}

bool same_names(const std::vector<CheckpointText>& one, const std::vector<CheckpointText>& other) {
  return std::ranges::equal(one, other, {}, &CheckpointText::name, &CheckpointText::name);
}

}  // namespace

// Before anything is reserved there: it takes as long as reading them does.
StepResult LiveMove::read_files() {
  digests_.clear();
  for (const FilePlacement& file : job_.move.plan.files) {
    if (file.shared || digests_.contains(file.destination_path)) continue;
    const UniqueFd opened(::open(file.source_path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!opened) return undo_because(fail_errno("Cannot open " + file.source_path).error());
    auto digest = content::file_digest(opened.get(), stop_);
    if (auto interruption = interrupted(); !interruption) return interruption;
    if (!digest) {
      return undo_because(
          wrap(digest.error(), fmt::format("Cannot read {} as a whole.", file.source_path)));
    }
    digests_[file.destination_path] = std::move(*digest);
  }
  return {};
}

// Before the first byte of a disk goes out: it would be built on something else.
StepResult LiveMove::compare_files() {
  for (const auto& [path, digest] : digests_) {
    const auto reply = world_.peers.call(job_.move.destination, verb::kFile,
                                         to_json(FileRequest{job_.move.epoch, path, digest}),
                                         Deadline::after(kCompareLimit));
    if (!reply) return undo_because(reply.error());
    if (auto interruption = interrupted(); !interruption) return interruption;
  }
  return {};
}

// libvirt migrates no VM that has any. They are in the journal, and said again if the VM stays.
StepResult LiveMove::forget_checkpoints() {
  if (job_.checkpoints.empty() && job_.move.plan.vm.snapshots == 0) return {};
  const auto now = world_.hypervisor.checkpoints(uuid());
  if (!now) return undo_because(now.error());
  if (!same_names(*now, job_.checkpoints)) {
    return undo_because({ErrorCode::kConflict,
                         Retry::kNow,
                         fmt::format("The checkpoints of {} have changed since the plan was made.",
                                     job_.move.plan.vm.name),
                         {}});
  }
  job_.checkpoints = *now;
  job_.checkpoints_forgotten = true;
  if (auto saved = save(); !saved) return undo_because(saved.error());
  if (auto forgotten = world_.hypervisor.forget_checkpoints(uuid()); !forgotten)
    return undo_because(forgotten.error());
  return {};
}

// The VM stays. libvirt's own job may have to end first. False: droverd stops in between.
bool LiveMove::know_checkpoints() {
  if (!job_.checkpoints_forgotten) return true;
  std::string last;
  for (const Deadline limit = Deadline::after(kKnowLimit); !limit.expired();) {
    const auto known = world_.hypervisor.know_checkpoints(uuid(), job_.checkpoints);
    if (known) {
      job_.checkpoints_forgotten = false;
      (void)save();
      return true;
    }
    if (last != known.error().text()) {
      last = known.error().text();
      log::warning("Move {}: libvirt does not take the checkpoints of {} back yet: {}",
                   job_.move.id, job_.move.plan.vm.name, last);
    }
    if (!pause_for(kKnowAgain)) return false;
  }
  change([&](Move& move) {
    move.explanation = fmt::format(
        "{} runs on {} as before, but libvirt does not take its checkpoints back: {} Their images "
        "are whole, and what libvirt knew is in the journal.",
        move.plan.vm.name, move.source, last);
  });
  return true;
}

}  // namespace drover::move
