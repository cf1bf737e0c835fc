// SPDX-License-Identifier: Apache-2.0
// The way back, after which the VM is on the source as before and nothing is left at the
// destination. Every part may run twice. REQUIRES: the guest never ran at the destination and never
// will by this move: either no FINISH was let through by our gate, or the destination proved it.
#include "base/log.h"
#include "base/random.h"
#include "gate/fence_recovery.h"
#include "move/live_move.h"
#include "move/retry.h"
#include "move/shared_disks.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kStopLimit = 10s;  // a gate waits at most 5 s for its folder of records
constexpr auto kLostLimit = 3s;   // a host that is said to be lost
constexpr auto kUndoLimit =
    20s;  // the destination's undo; later it is swept (Engine) or cleans up by itself

}  // namespace

bool LiveMove::undo() {
  log::info("Move {} of {}: undone.", job_.move.id, job_.move.plan.vm.name);
  if (job_.migrate_called) (void)world_.hypervisor.abort_job(uuid());
  if (!carriers_ && job_.carriers_started) carriers_ = world_.carriage.attach(carrier_name());
  if (carriers_) stop_carriers();
  (void)world_.memories->drop(job_.move.id);
  if (job_.carriers_started) {
    world_.carriage.remove_files(carrier_name());
    if (!take_back_the_guest()) return false;
  }
  if (!know_checkpoints()) return false;
  if (job_.autostart_cleared && job_.autostart) {
    if (auto set = world_.hypervisor.set_autostart(uuid(), true); !set) {
      log::warning("Move {}: autostart of {} was not restored: {}", job_.move.id,
                   job_.move.plan.vm.name, set.error().text());
    }
  }
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
    if (!pause_for(200ms)) return false;
  }
  log::error(
      "Move {}: {} does not run on {} although it may: look at virsh domstate --reason there.",
      job_.move.id, job_.move.plan.vm.name, job_.move.source);
  return true;
}

// A destination that is lost ran the guest and announced it: the switches of its LAN send there
// what is for it, until it speaks itself. QEMU announces it as after a migration.
void LiveMove::announce() {
  if (!job_.move.resolution || !job_.move.resolution->peer_is_lost) return;
  const auto said = world_.hypervisor.ask_qemu(
      uuid(),
      R"({"execute":"announce-self","arguments":{"initial":50,"max":550,"rounds":10,"step":50}})");
  if (!said) log::warning("Move {}: {}", job_.move.id, said.error().text());
}

// True: nothing is left there, or there never was. Else the destination cleans up by itself once
// its mover has given up, and is told again (Engine).
bool LiveMove::undo_at_destination() {
  if (!tell_left()) return false;
  if (job_.reserved) {
    // By an administrator's word it is ours; a record that says else would keep it from starting.
    if (job_.abandon) (void)world_.records.remove(record_key());
    const auto reply =
        world_.peers.call(job_.move.destination, job_.abandon ? verb::kAbandon : verb::kUndo,
                          to_json(MoveName{job_.move.epoch}),
                          Deadline::after(job_.abandon ? kLostLimit : kUndoLimit));
    if (!reply && reply.error().code != ErrorCode::kNotFound) {
      log::warning("Move {}: {} could not be told of the undo: {}", job_.move.id,
                   job_.move.destination, reply.error().text());
      return false;
    }
  } else if (admitted_) {
    // Else its place there is free in a minute.
    (void)world_.peers.call(job_.move.destination, verb::kAdmit,
                            to_json(AdmitRequest{job_.move.epoch, true}), Deadline::after(2s));
  }
  admitted_ = false;
  // The record before the journal's last word, after which nobody would remove it.
  if (auto removed = world_.records.remove(record_key()); !removed) {
    log::warning("Move {}: {}", job_.move.id, removed.error().text());
    return false;
  }
  job_.reserved = false;
  if (job_.move.state != MoveState::kRunning) (void)save();
  return true;
}

// Of the attempt before this one. Its record goes before the journal forgets it.
bool LiveMove::tell_left() {
  if (job_.left_epoch.empty()) return true;
  const auto reply =
      world_.peers.call(job_.move.destination, verb::kUndo, to_json(MoveName{job_.left_epoch}),
                        Deadline::after(kUndoLimit));
  if (!reply && reply.error().code != ErrorCode::kNotFound) {
    log::warning("Move {}: {} could not be told of the undo of its last attempt: {}", job_.move.id,
                 job_.move.destination, reply.error().text());
    return false;
  }
  if (auto removed = world_.records.remove({uuid(), job_.left_epoch}); !removed) {
    log::warning("Move {}: {}", job_.move.id, removed.error().text());
    return false;
  }
  job_.left_epoch.clear();
  return true;
}

// The move waits for its turn again, under another epoch: the destination keeps what it recorded of
// this one for ever. What it has not heard of yet it is told before the next attempt begins.
bool LiveMove::try_again(const Error& error) {
  if (cancel_asked_ || given_up_ || job_.move.resolution) return false;
  const auto now = std::chrono::system_clock::now();
  const auto when = next_attempt(job_.move, error, world_.book.settings(), now);
  if (!when) return false;
  log::warning("Move {} of {}: attempt {} failed and was undone, another follows: {}", job_.move.id,
               job_.move.plan.vm.name, job_.move.attempts.size() + 1, error.text());
  if (job_.reserved) job_.left_epoch = job_.move.epoch;
  job_.reserved = job_.carriers_started = job_.migrate_called = false;
  job_.autostart_cleared = job_.refusal_proven = false;
  job_.files.clear();
  job_.fence_image = {};
  change([&](Move& move) {
    move.attempts.push_back({move.epoch, std::string(phase_name(move.phase)), error, now});
    move.epoch = random_name(move.epoch.size());
    move.phase = Phase::kPlan;
    move.phases.clear();
    move.progress = {};
    move.health.reset();
    move.explanation.clear();
    move.runner = Runner::kSource;
    move.queue = QueuePlace{move.plan.request.priority, false, 0, "", move.started_at, when, {}};
  });
  world_.slots.give_back(Slots::Way::kOut, job_.move.id);
  bandwidth_.reset();
  waits_again_ = true;
  changed_(MoveChange::kProgress, snapshot());  // the queue looks for it
  return true;
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
