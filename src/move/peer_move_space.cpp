// SPDX-License-Identifier: Apache-2.0
// Room at the destination of a move that copies (docs/space.md): what is sent waits, by the
// source's mover, before the disk there is full.
#include <utility>

#include "base/log.h"
#include "move/peer_move.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kHoldFor = 20s;  // if this droverd dies, the copy goes on after so long
constexpr auto kHoldAgain = 5s;
constexpr auto kHoldRetry = 500ms;

}  // namespace

std::optional<Error> PeerMove::keep_room(RoomWait wait) {
  if (!space_) space_.emplace(world_.peers, job_.move.destination, job_.move.epoch);
  const auto space = space_->last();
  if (!space || wait == RoomWait::kTooLate) release_disks();
  if (!space) return {};
  if (wait == RoomWait::kTooLate) {
    if (space->free.bytes >= space->reserve.bytes / 4) return {};
    return Error{
        ErrorCode::kNoSpace,
        Retry::kLater,
        fmt::format("{} on {} has only {} free, and {} still writes there. Make room there, "
                    "or choose another place with --disks-to or --item, and move it again.",
                    space->folder, job_.move.destination, to_text(space->free), vm_name()),
        {}};
  }
  // An eighth more before it goes on, so that it does not halt at each step.
  const ByteCount wanted =
      disks_held_until_ ? space->reserve + ByteCount{space->reserve.bytes / 8} : space->reserve;
  if (space->free < wanted) return halt_disks(*space);
  release_disks();
  return {};
}

std::optional<Error> PeerMove::halt_disks(const SpaceReply& space) {
  if (!disks_held_until_) {
    disks_held_until_ = Deadline::after(space.patience);
    next_hold_ = Deadline::after(0ms);
    log::warning("Move {}: {} on {} has only {} free; its disks wait.", job_.move.id, space.folder,
                 job_.move.destination, to_text(space.free));
  }
  if (disks_held_until_->expired()) {
    Error none{
        ErrorCode::kNoSpace,
        Retry::kLater,
        fmt::format("{} on {} has only {} free, and {} shall stay free. Nobody made room within {} "
                    "s. Make room there, choose another place with --disks-to or --item, or: "
                    "drover settings {} space-reserve=SIZE.",
                    space.folder, job_.move.destination, to_text(space.free),
                    to_text(space.reserve), space.patience.count(), job_.move.destination),
        {}};
    log::warning("Move {}: {}", job_.move.id, none.message);
    release_disks();
    return none;
  }
  if (!next_hold_.expired()) return {};
  next_hold_ = Deadline::after(kHoldAgain);
  if (auto held = hold_copy(kHoldFor); !held) {
    log::warning("Move {}: {}", job_.move.id, held.error().text());
    next_hold_ = Deadline::after(kHoldRetry);
  }
  tell_no_room(space);
  return {};
}

void PeerMove::tell_no_room(const SpaceReply& space) {
  const Plan& plan = job_.move.plan;
  tell_hold(Finding{
      std::string(kSpaceAwaited),
      FindingLevel::kWarning,
      space.folder,
      fmt::format("The copy of {}'s disks waits for room: {} on {} has {} free, and {} shall stay "
                  "free.",
                  plan.vm.name, space.folder, job_.move.destination, to_text(space.free),
                  to_text(space.reserve)),
      fmt::format("{}The move goes on when there is room, and gives up after {} s without.",
                  plan.kind == MoveKind::kOffline ? "" : "The guest runs on. ",
                  space.patience.count()),
      {fmt::format("Make room on {}: drover --at {} quarantine list", job_.move.destination,
                   job_.move.destination),
       fmt::format("Let it use more: drover settings {} space-reserve=SIZE", job_.move.destination),
       fmt::format("drover cancel {}", job_.move.id)}});
}

// Files that travel as they are land on disks too, and go as streams of memory. Their hold does not
// end by itself: a mover that did not hear the end of it would carry no more.
Status PeerMove::hold_copy(std::chrono::milliseconds span) {
  const Status disks = carriers_->hold_disks(span);
  if (!plain_road_) return disks;
  const Status files = carriers_->hold_memory(span > 0ms);
  if (!files && span == 0ms && !road_error_) road_error_ = files.error();
  return files ? disks : files;
}

void PeerMove::release_disks() {
  if (!disks_held_until_) return;
  disks_held_until_.reset();
  // If the mover does not hear it, the hold of disks ends by itself; of memory see hold_copy().
  if (auto released = hold_copy(0ms); !released)
    log::warning("Move {}: {}", job_.move.id, released.error().text());
  log::info("Move {}: its disks wait no more.", job_.move.id);
  if (told_hold_ == kSpaceAwaited) tell_hold({});
}

// The road that was watched is over.
void PeerMove::forget_room() {
  disks_held_until_.reset();
  space_.reset();
  if (told_hold_ == kSpaceAwaited) tell_hold({});
}

void PeerMove::end_space_watch() {
  if (space_) space_->stop();
}

// Once for each new one, and when it is over.
void PeerMove::tell_hold(std::optional<Finding> finding) {
  const std::string what = finding ? finding->code : std::string();
  if (what == told_hold_) return;
  told_hold_ = what;
  change([&](Move& move) { move.progress.warning = std::move(finding); });
}

}  // namespace drover::move
