// SPDX-License-Identifier: Apache-2.0
// The disks of a quick move's guest, written at the destination by its QEMU while it runs: their
// beginning, and their end if the move is undone. Their end at the standstill: cold_state.cpp.
#include <algorithm>

#include "base/log.h"
#include "move/cold/cold_files.h"
#include "move/cold/cold_move.h"
#include "move/cold/write_failure.h"
#include "move/qmp.h"
#include "move/retry.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kMirrorLook = 200ms;
constexpr auto kSilenceLimit = 30s;  // of libvirt: it is being restarted
constexpr auto kEndLimit = 10s;      // of a QEMU that answers: a moment is usual

}  // namespace

// Its guest runs, and its QEMU writes the disks there as well. A QEMU that knows no such copies
// leaves them to be sent while the guest stands still; any other refusal may pass, and the pause is
// what a quick move is about.
StepResult ColdMove::mirror_disks() {
  for (const DiskPlacement& placement : streamed_disks(job_.move.plan)) {
    auto mirror = DiskMirror::begin(
        world_.hypervisor,
        {uuid(), job_.move.epoch, placement.target, world_.carriage.paths(carrier_name()).disks});
    if (mirror) {
      mirrors_.push_back(std::move(*mirror));
      continue;
    }
    mirrors_.clear();
    if (!qmp::is_unknown_command(mirror.error()))
      return undo_because(mirror_lost(mirror.error(), placement.target));
    log::warning("Move {}: {} is sent while {} stands still: {}", job_.move.id, placement.target,
                 vm_name(), mirror.error().text());
    if (auto ended = end_mirrors(world_.hypervisor, uuid(), job_.move.epoch); !ended)
      return undo_because(ended.error());
    return {};
  }
  return mirrors_ready();
}

// All are looked at each time: one that is lost ends the move, however long another still takes. A
// libvirt that does not answer for a moment is no loss.
StepResult ColdMove::mirrors_ready() {
  Deadline next_look = Deadline::after(0ms);
  Deadline silence = Deadline::never();
  std::optional<Error> lost;
  std::string target;  // of the one that is lost
  const auto ready = [&] {
    if (!next_look.expired()) return false;
    next_look = Deadline::after(kMirrorLook);
    bool all = true;
    for (DiskMirror& mirror : mirrors_) {
      const auto now = mirror.progress();
      all = all && now && now->ready;
      if (now) continue;
      if (!is_unanswered(now.error()) || silence.expired()) {
        lost = now.error();
        target = mirror.target();
        return true;
      }
      if (silence.is_never()) silence = Deadline::after(kSilenceLimit);
      return false;
    }
    silence = Deadline::never();
    return all;
  };
  if (auto followed = follow(ready); !followed) return followed;
  if (lost) return undo_because(mirror_lost(*lost, target));
  return {};
}

// QEMU does not say which side's disk failed, but ours is only read.
Error ColdMove::mirror_lost(Error cause, const std::string& target) {
  const auto now = world_.hypervisor.run_state(uuid());
  if (now && (now->kind == RunState::Kind::kOff || now->kind == RunState::Kind::kAbsent)) {
    return {ErrorCode::kConflict,
            Retry::kNever,
            fmt::format("{} was shut off while its disks were being copied.", vm_name()),
            {}};
  }
  const auto disk = std::ranges::find(job_.move.plan.placements, target, &DiskPlacement::target);
  return road_error_or(
      write_error(unwritten_disk(*disk, vm_name()), job_.move.destination, std::move(cause)));
}

// Of a QEMU that has ended nothing is left to end.
Status ColdMove::try_to_end_mirrors() {
  if (!quick() || !job_.carriers_started) return {};
  return end_mirrors(world_.hypervisor, uuid(), job_.move.epoch);
}

// After the guest goes on, which none of them needs. A libvirt that is away has said nothing yet;
// what a QEMU that says no still has is told.
StepResult ColdMove::end_all_mirrors() {
  for (Deadline limit = Deadline::after(kEndLimit);;) {
    const Status ended = try_to_end_mirrors();
    if (ended) break;
    if (ended.error().code == ErrorCode::kUnavailable) {
      limit = Deadline::after(kEndLimit);
      tell_wait(mirrors_wait(ended.error()));
    } else if (limit.expired()) {
      wait_is_over();
      tell_not_back(mirrors_stay(ended.error()));
      return {};
    }
    if (!pause_for(kMirrorLook)) return leave_waiting();
  }
  wait_is_over();
  return {};
}

std::string ColdMove::mirrors_wait(const Error& cause) const {
  return fmt::format(
      "libvirt on {0} does not answer ({1}); what QEMU still copies of the disks of {2} is ended "
      "once it does. Fix: on {0}, systemctl status libvirtd.",
      job_.move.source, cause.text(), vm_name());
}

std::string ColdMove::mirrors_stay(const Error& cause) const {
  return fmt::format(
      "QEMU does not end its copies of the disks of {0}: {1} They lead nowhere, but are in the "
      "way of its next move. Fix: when it suits, shut {0} down and start it again.",
      vm_name(), cause.text());
}

}  // namespace drover::move
