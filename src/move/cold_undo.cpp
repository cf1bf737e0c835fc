// SPDX-License-Identifier: Apache-2.0
// The way back of an offline or quick move, after which the VM is here as before and nothing is
// left at the destination. Every part may run twice. REQUIRES: the destination never had the VM and
// never will by this move: it was not asked to take it, or proved it.
#include <filesystem>

#include <unistd.h>

#include "base/log.h"
#include "move/cold_files.h"
#include "move/cold_move.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kLook = 200ms;
constexpr auto kSaveEnds = 10s;  // of a droverd before us

std::unexpected<StepFailure> leave() {
  return std::unexpected(StepFailure{AfterFailure::kLeave, {}});
}

}  // namespace

StepResult ColdMove::undo() {
  log::info("Move {} of {}: undone.", job_.move.id, vm_name());
  if (auto ended = end_save(); !ended) return ended;
  if (quick() && job_.carriers_started) {
    if (auto ended = end_mirrors(world_.hypervisor, uuid(), job_.move.epoch); !ended)
      log::warning("Move {}: {}", job_.move.id, ended.error().text());
  }
  if (!carriers_ && job_.carriers_started) carriers_ = world_.carriage.attach(carrier_name());
  if (carriers_) (void)carriers_->stop();
  carriers_.reset();
  if (job_.carriers_started) world_.carriage.remove_files(carrier_name());
  while (job_.undefined) {
    const auto defined = define_again();
    if (defined) break;
    if (defined.error().code != ErrorCode::kUnavailable) {
      (void)undo_at_destination();
      return parked(defined.error(),
                    fmt::format("{} is on {} and could not be defined there again. Its definition "
                                "is in the journal of droverd there, its disks lie where they lay.",
                                vm_name(), job_.move.source));
    }
    if (!pause_for(kLook)) return leave();
  }
  fence_.reset();  // the last copy: the locks go with it
  const StepResult taken_back = take_back_the_guest();
  if (!taken_back && taken_back.error().then == AfterFailure::kLeave) return taken_back;
  if (job_.autostart_cleared && job_.autostart) {
    if (auto set = world_.hypervisor.set_autostart(uuid(), true); !set) {
      log::warning("Move {}: autostart of {} was not restored: {}", job_.move.id, vm_name(),
                   set.error().text());
    }
  }
  undo_at_destination();
  return taken_back;
}

Status ColdMove::define_again() {
  ASSIGN_OR_RETURN(const RunState state, world_.hypervisor.run_state(uuid()));
  if (state.kind != RunState::Kind::kAbsent) return {};
  return world_.hypervisor.define(job_.persistent_xml);
}

// libvirt's call may still be at work, also one that a droverd before us made.
StepResult ColdMove::end_save() {
  if (!job_.save_called || job_.restore_called) return {};
  const auto runs = [&] {
    const auto state = world_.hypervisor.run_state(uuid());
    return state &&
           (state->kind == RunState::Kind::kOff || state->kind == RunState::Kind::kAbsent ||
            state->kind == RunState::Kind::kRunning);
  };
  if (!save_ && (stands_since_.time_since_epoch().count() != 0 || runs())) return {};
  const Deadline limit = Deadline::after(kSaveEnds);
  while (save_ ? !save_is_over() : !(runs() || limit.expired())) {
    (void)world_.hypervisor.abort_job(uuid());  // too late is no error
    if (!pause_for(kLook)) return leave();
  }
  return {};
}

// From its saved memory, once: a guest that may have run since must not be restored a second time,
// for its disks are newer.
StepResult ColdMove::take_back_the_guest() {
  if (!job_.save_called) return {};
  const std::string path = state_path();
  const auto park = [&](const Error& error) {
    return parked(error, fmt::format("{0} is off on {1}. Its memory is in {2}. If it has not run "
                                     "since: virsh restore {2}.",
                                     vm_name(), job_.move.source, path));
  };
  const bool was_paused = job_.move.plan.vm.state == VmState::kPaused;
  for (;; (void)pause_for(kLook)) {
    if (stop_.stop_requested()) return leave();
    const auto state = world_.hypervisor.run_state(uuid());
    if (!state) continue;
    const bool paused = state->kind == RunState::Kind::kPaused;
    // It was made to stand still by us, or by libvirt's save.
    if (paused && !was_paused) (void)world_.hypervisor.resume(uuid());
    if (state->kind == RunState::Kind::kRunning || (paused && was_paused)) break;
    if (state->kind != RunState::Kind::kOff) continue;
    if (!is_whole_state(path)) break;  // it was shut off by itself before it was saved
    if (job_.restore_called) {
      return park({ErrorCode::kInDoubt,
                   Retry::kNever,
                   fmt::format("{} was being restored when droverd ended.", vm_name()),
                   {}});
    }
    job_.restore_called = true;
    if (auto saved = save(); !saved) return park(saved.error());
    if (auto restored = world_.hypervisor.restore(path, ""); !restored)
      return park(restored.error());
    log::info("Move {}: {} was restored on {}.", job_.move.id, vm_name(), job_.move.source);
    announce_guest(world_.hypervisor, uuid());
    break;
  }
  remove_state();
  return {};
}

void ColdMove::remove_state() {
  if (quick()) ::unlink(state_path().c_str());
}

}  // namespace drover::move
