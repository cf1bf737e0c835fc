// SPDX-License-Identifier: Apache-2.0
// The way back, after which the VM is on the source as before and nothing is left at the
// destination. Every part may run twice. REQUIRES: the guest never ran at the destination and never
// will by this move: either no FINISH was let through by our gate, or the destination proved it.
#include <utility>

#include "base/log.h"
#include "gate/fence_recovery.h"
#include "move/cold/cold_files.h"
#include "move/live/live_move.h"
#include "move/plan/shared_disks.h"
#include "move/qmp.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kStopLimit = 10s;  // a gate waits at most 5 s for its folder of records
constexpr auto kSwitchUsual = 2s;
constexpr auto kLook = 20ms;
constexpr auto kCancelLook = 1s;  // one that QEMU does not end within this time stands still
constexpr auto kMoment = 100ms;   // enough for libvirt to see that the guest has stopped

}  // namespace

bool LiveMove::undo() {
  log::info("Move {} of {}: undone.", job_.move.id, job_.move.plan.vm.name);
  if (!carriers_ && job_.carriers_started) carriers_ = world_.carriage.attach(carrier_name());
  if (job_.migrate_called) {
    for (const Deadline limit = Deadline::after(kSwitchUsual); is_at_switch() && !limit.expired();)
      if (!pause_for(kLook)) return false;
    (void)world_.hypervisor.abort_job(uuid());
  }
  if (carriers_) stop_carriers();
  (void)world_.memories->drop(job_.move.id);
  if (job_.carriers_started) {
    world_.carriage.remove_files(carrier_name());
    if (!take_back_the_guest()) return false;
  }
  if (!know_checkpoints() || !fill_drives() || !plug_teamed()) return false;
  restore_autostart();
  undo_at_destination();
  // Its libvirt has ended what was incoming by now.
  if (job_.migrate_called) keep_images_with_qemu(job_.move.plan, Runs::kHere);
  return true;
}

// A gate that let FINISH pass before it could be stopped awaits an answer, which is known here: it
// never ran there. One that is busy with its record or its fence is asked again.
void LiveMove::stop_carriers() {
  Status stopped = carriers_->stop();
  for (const Deadline limit = Deadline::after(kStopLimit); !stopped && !limit.expired();) {
    if (stopped.error().code == ErrorCode::kConflict)
      (void)carriers_->deliver_not_run("the move was taken back");
    if (!pause_for(200ms)) break;
    stopped = carriers_->stop();
  }
  if (!stopped) log::warning("Move {}: {}", job_.move.id, stopped.error().text());
}

// Lifts the fence and, where libvirt could not resume the guest behind it, resumes it now.
bool LiveMove::take_back_the_guest() {
  lift_fence();
  if (auto dropped = world_.hypervisor.drop_descriptors(uuid()); !dropped) {
    log::warning("Move {}: {}", job_.move.id, dropped.error().text());
  }
  if (!job_.migrate_called || job_.move.plan.vm.state != VmState::kRunning) return true;
  // libvirt's own rollback comes first; it may take a moment to end its job.
  for (const Deadline limit = Deadline::after(10s); !limit.expired();) {
    const auto state = world_.hypervisor.run_state(uuid());
    if (state && state->kind == RunState::Kind::kRunning) {
      announce();
      return true;
    }
    // The source had let it go already: its disks are what is taken back.
    if (state && state->kind == RunState::Kind::kOff && job_.move.resolution) return true;
    if (state && state->kind == RunState::Kind::kPaused) {
      if (auto resumed = world_.hypervisor.resume(uuid()); resumed) {
        log::info("Move {}: {} was resumed on {}.", job_.move.id, job_.move.plan.vm.name,
                  job_.move.source);
        announce();
        return true;
      } else {
        log::warning("Move {}: {} cannot be resumed yet: {}", job_.move.id, job_.move.plan.vm.name,
                     resumed.error().text());
      }
    }
    push_cancel();
    if (!pause_for(200ms)) return false;
  }
  log::error(
      "Move {}: {} does not run on {} although it may: look at virsh domstate --reason there.",
      job_.move.id, job_.move.plan.vm.name, job_.move.source);
  return true;
}

// QEMU before 10 that is told to cancel while it writes the devices' state lets the guest go on
// with disks that it has let go, and aborts at the guest's next write; and libvirt tells it so,
// too, when it loses the gate. So nothing is done while QEMU switches, which usually ends by
// itself; one that lasts is ended by a break of the road, which QEMU takes well (decision 0009).
Status LiveMove::end_migration() {
  if (!is_at_switch()) return world_.hypervisor.abort_job(uuid());
  if (!switch_due_) switch_due_ = Deadline::after(kSwitchUsual);
  if (!switch_due_->expired())
    return fail(ErrorCode::kConflict, "{} is about to be switched.", vm_name());
  road_cut_ = true;
  return carriers_ ? carriers_->cut_road() : Status{};
}

std::string LiveMove::migration_status() const {
  const auto now = qmp::ask(world_.hypervisor, uuid(), qmp::command("query-migrate"));
  return now ? qmp::text_of(*now, "status") : std::string();
}

// From the guest's stop until QEMU has ended, or failed.
bool LiveMove::is_at_switch() const {
  if (job_.move.phase != Phase::kCopyMemory) return false;
  const std::string status = migration_status();
  const bool stopped = stood_still_ || stands_still_;
  return status == "pre-switchover" || status == "device" || (status == "active" && stopped);
}

// A cancel in the instant in which QEMU stops the guest for the switch may end neither with QEMU
// nor with libvirt, whoever asked for it (docs/decisions/0009-a-cancel-is-pushed.md).
void LiveMove::push_cancel() {
  if (next_cancel_look_ && !next_cancel_look_->expired()) return;
  const bool first = !next_cancel_look_;
  next_cancel_look_ = Deadline::after(kCancelLook);
  if (first) return;  // a usual pause is over by then, and hears no question
  const std::string status = migration_status();
  if (std::exchange(cancel_seen_, status) != status) return;
  if (status == "cancelling") {
    const bool waits = job_.move.plan.request.parallel_connections != 0 && !road_cut_;
    if (waits && carriers_ && carriers_->mover_alive())
      end_channels();
    else
      tell_qemu_to_cancel();
  } else if (status == "cancelled" && job_.move.phase == Phase::kCopyMemory) {
    stop_for_a_moment();
  }
}

// A cancel closes QEMU's first connection, which wakes what waits for it; of several the migration
// waits for another, and that for the mover, as long as no link is up (QEMU's migrate_fd_cancel()
// and multifd_send_pages()).
void LiveMove::end_channels() {
  road_cut_ = true;
  const Status cut = carriers_->cut_road();
  log::warning(
      "Move {}: QEMU does not end the migration of {} that was cancelled; its road ends: {}",
      job_.move.id, vm_name(), cut ? "it does" : cut.error().text());
}

// QEMU 7.2 waits for ever to be told to go on, the guest stopped. It takes that word in this state
// too, and then cancels; in any other it refuses, and nothing happens.
void LiveMove::tell_qemu_to_cancel() {
  const auto told = qmp::ask(world_.hypervisor, uuid(),
                             qmp::command("migrate-continue", {{"state", "cancelling"}}));
  log::warning(
      "Move {}: QEMU does not end the migration of {} that was cancelled; it is told to: {}",
      job_.move.id, vm_name(), told ? "it does" : told.error().text());
}

// libvirt may wait for the guest to stop that QEMU, which has cancelled, lets run again. It goes
// on, and finds the cancel, once the guest stops. What was cancelled runs nowhere else.
void LiveMove::stop_for_a_moment() {
  if (job_.move.plan.vm.state != VmState::kRunning) return;
  const auto tell = [this](const char* what) {
    return qmp::ask(world_.hypervisor, uuid(), qmp::command(what));
  };
  const auto now = tell("query-status");
  const bool runs = now && qmp::text_of(*now, "status") == "running";
  if (!runs && !stopped_for_a_moment_) return;
  if (runs) {
    log::warning(
        "Move {}: libvirt waits for {} to stop, which was cancelled; it is stopped for {} ms.",
        job_.move.id, vm_name(), kMoment.count());
    stopped_for_a_moment_ = true;  // also if the answer is lost
    (void)tell("stop");
    (void)pause_for(kMoment);
  }
  stopped_for_a_moment_ = !tell("cont");  // libvirt may have done so
}

// A destination that is lost ran the guest and announced it: the switches of its LAN send there
// what is for it, until it speaks itself. QEMU announces it as after a migration.
void LiveMove::announce() {
  if (!job_.move.resolution || !job_.move.resolution->peer_is_lost) return;
  announce_guest(world_.hypervisor, uuid());
}

// Unlocking any copy of a description unlocks it for all. After a restart there are no copies here:
// then QEMU's are borrowed back.
void LiveMove::lift_fence() {
  if (!fence_) {
    std::vector<gate::FencedFile> files;
    for (const auto& file : job_.files) files.push_back({file.target, file.device, file.inode});
    if (const auto& image = job_.fence_image; image.inode != 0)
      files.push_back({image.target, image.device, image.inode});
    auto borrowed = gate::borrow_fence(files);
    if (!borrowed) {
      log::error("Move {}: the fence of {} cannot be found: {}", job_.move.id,
                 job_.move.plan.vm.name, borrowed.error().text());
      return;
    }
    fence_ = std::move(*borrowed);
  }
  if (auto lifted = fence_->lift(); !lifted) {
    log::warning("Move {}: {}", job_.move.id, lifted.error().text());
  }
  fence_.reset();
}

}  // namespace drover::move
