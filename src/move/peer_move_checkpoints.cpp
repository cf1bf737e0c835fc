// SPDX-License-Identifier: Apache-2.0
// The VM's checkpoints at the source: libvirt forgets them for as long as the VM moves, and is told
// of them again if it stays. They are in the journal from before the first until after the second.
#include <algorithm>

#include "base/log.h"
#include "move/peer_move.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kKnowLimit = 60s;  // for a libvirt that answers, and says no
constexpr auto kKnowAgain = 500ms;

bool same_names(const std::vector<CheckpointText>& one, const std::vector<CheckpointText>& other) {
  return std::ranges::equal(one, other, {}, &CheckpointText::name, &CheckpointText::name);
}

// What tell_unknown() begins with, and before it if nothing else is said.
constexpr std::string_view kNotTaken = "libvirt does not take its checkpoints back:";

std::string as_before_but(const Move& move) {
  return fmt::format("{} is on {} as before, but ", move.plan.vm.name, move.source);
}

// What is said beside it.
std::string said_beside(const Move& move) {
  std::string text = move.explanation;
  text.erase(std::min(text.find(kNotTaken), text.size()));
  if (text == as_before_but(move)) return {};
  if (text.ends_with(' ')) text.pop_back();
  return text;
}

}  // namespace

// Of an attempt before this one, whose checkpoints libvirt here did not take back: what it says of
// them now must not be believed, nor written over what is known of them.
StepResult PeerMove::check_checkpoints_known() const {
  if (!job_.checkpoints_forgotten) return {};
  return undo_because(
      {ErrorCode::kHypervisor,
       Retry::kNever,
       fmt::format("libvirt on {} has not taken the checkpoints of {} back since the last attempt.",
                   job_.move.source, vm_name()),
       {}});
}

// libvirt migrates no VM that has any, and undefines none.
StepResult PeerMove::forget_checkpoints() {
  if (job_.checkpoints.empty() && job_.move.plan.vm.snapshots == 0) return {};
  const auto now = world_.hypervisor.checkpoints(uuid());
  if (!now) return undo_because(now.error());
  if (!same_names(*now, job_.checkpoints)) {
    return undo_because(
        {ErrorCode::kConflict,
         Retry::kNow,
         fmt::format("The checkpoints of {} have changed since the plan was made.", vm_name()),
         {}});
  }
  job_.checkpoints = *now;
  job_.checkpoints_forgotten = true;
  if (auto saved = save(); !saved) return undo_because(saved.error());
  if (auto forgotten = world_.hypervisor.forget_checkpoints(uuid()); !forgotten)
    return undo_because(forgotten.error());
  return {};
}

// The VM stays. libvirt's own job may have to end first; and one that is away has said nothing yet:
// the move ends once it has, so that no other begins without them. False: droverd stops in between.
bool PeerMove::know_checkpoints() {
  if (!job_.checkpoints_forgotten) return true;
  // What is said beside it stays; what a droverd before this one said of it does not.
  const std::string before = said_beside(snapshot());
  std::string last;
  for (Deadline limit = Deadline::after(kKnowLimit); !limit.expired();) {
    const auto known = world_.hypervisor.know_checkpoints(uuid(), job_.checkpoints);
    if (known) {
      job_.checkpoints_forgotten = false;
      change([&](Move& move) { move.explanation = before; });
      return true;
    }
    if (known.error().code == ErrorCode::kUnavailable) limit = Deadline::after(kKnowLimit);
    if (last != known.error().text()) {
      last = known.error().text();
      tell_unknown(before, last);
    }
    if (!pause_for(kKnowAgain)) return false;
  }
  return true;
}

void PeerMove::tell_unknown(const std::string& before, const std::string& why) {
  log::warning("Move {}: libvirt does not take the checkpoints of {} back yet: {}", job_.move.id,
               vm_name(), why);
  change([&](Move& move) {
    move.explanation =
        fmt::format("{}{} {} Their images are whole, and what libvirt knew is in the journal.",
                    before.empty() ? as_before_but(move) : before + " ", kNotTaken, why);
  });
}

}  // namespace drover::move
