// SPDX-License-Identifier: Apache-2.0
// A rehearsal of a live move (docs/forecast.md): libvirt's call is made as for the move itself, so
// that the destination's QEMU runs with the real definition and QEMU connects to the movers; not a
// byte of memory goes out, and then libvirt is told to abort. What follows is the way back of any
// cancelled move.
#include "base/log.h"
#include "move/live/live_move.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr BytesPerSecond kTrickle{1024 * 1024};  // of disks; QEMU's handshakes are far below it
constexpr auto kLookInterval = 250ms;
constexpr auto kOtherDisks = 1s;  // after the first one's copy began: libvirt begins one by one
constexpr auto kPatience = 60s;   // libvirt has started a QEMU long before, or failed

}  // namespace

// Before libvirt is called: the first byte of memory must not slip through.
Status LiveMove::hold_for_the_rehearsal() {
  RETURN_IF_ERROR(carriers_->hold_memory(true));
  memory_held_ = true;
  memory_hold_unsure_ = false;
  bandwidth_most_ = kTrickle;
  keep_bandwidth();
  if (!bandwidth_unsure_) return {};
  return fail(ErrorCode::kUnavailable, "The mover of {} does not take a rehearsal's bandwidth.",
              vm_name());
}

// The copy of a disk ends only once what it has written was answered.
void LiveMove::let_disks_go() {
  if (bandwidth_most_.value == 0) return;
  bandwidth_most_ = {};
  keep_bandwidth();  // and again with the next look at the links, if the mover did not hear it
}

// All is connected once libvirt copies the disks, or memory, where no disk is copied.
void LiveMove::keep_rehearsal() {
  if (!is_rehearsal()) return;
  if (rehearsed_ || given_up_ || cancel_asked_) return let_disks_go();
  bandwidth_most_ = kTrickle;  // also of one that a former droverd has begun
  if (!next_rehearsal_look_.expired()) return;
  next_rehearsal_look_ = Deadline::after(kLookInterval);
  if (!rehearsal_until_) rehearsal_until_ = Deadline::after(kPatience);
  const auto progress = world_.hypervisor.job_progress(uuid());
  const bool copies =
      progress && progress->active && (progress->copying_memory || progress->disks_total.bytes > 0);
  if (copies && !all_copy_by_) all_copy_by_ = Deadline::after(kOtherDisks);
  if (all_copy_by_ && all_copy_by_->expired()) {
    rehearsed_ = true;
    log::info("Move {}: rehearsed as far as the copy; it is undone now.", job_.move.id);
  } else if (rehearsal_until_->expired()) {
    given_up_ = Error{ErrorCode::kTimeout,
                      Retry::kNever,
                      fmt::format("libvirt did not begin to copy {} within {} s.",
                                  job_.move.plan.vm.name, kPatience.count()),
                      {}};
  } else {
    return;
  }
  let_disks_go();
}

}  // namespace drover::move
