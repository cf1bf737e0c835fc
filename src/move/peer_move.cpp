// SPDX-License-Identifier: Apache-2.0
// The beginning of a move to another host, what is told to the destination when it is over or
// undone, and the attempt that follows a failed one.
#include "move/peer_move.h"

#include <filesystem>
#include <set>

#include "base/log.h"
#include "base/random.h"
#include "move/plan/network_marks.h"
#include "move/plan/planner.h"
#include "move/plan/shared_disks.h"
#include "move/residue/quarantine.h"
#include "move/retry.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kPlanFresh = 30s;
constexpr auto kSlotRetry = 200ms;
constexpr auto kPeerCallLimit = 30s;  // reserve, prepare, settle: nothing is copied
constexpr auto kForwardRetry = 2s;    // verify and settle ask again for ever
constexpr auto kLostLimit = 3s;       // a host that is said to be lost
constexpr auto kUndoLimit =
    20s;  // the destination's undo; later it is swept (Engine) or cleans up by itself

}  // namespace

PeerMove::PeerMove(World& world, SourceJob job, MoveListener changed)
    : MoveWork(world, std::move(job), std::move(changed)) {}

PeerMove::~PeerMove() = default;

// The plan that the move was started with is a moment old. After a wait it is made anew: the world
// may have changed, and a new blocker or warning ends the move. So it is for each further attempt.
StepResult PeerMove::plan() {
  if (auto known = check_checkpoints_known(); !known) return known;
  if (!tell_left()) {
    return undo_because({ErrorCode::kUnavailable,
                         Retry::kLater,
                         fmt::format("{} does not take the word that the last attempt was undone.",
                                     job_.move.destination),
                         {}});
  }
  const auto age = std::chrono::system_clock::now() - job_.move.plan.made_at;
  const bool first = job_.move.attempts.empty() && !job_.destination_xml.empty();
  if (first && age < kPlanFresh) return {};
  auto planned = plan_move(world_, job_.move.plan.request);
  if (!planned) return undo_because(planned.error());
  if (auto allowed = check_acceptance(planned->plan); !allowed)
    return undo_because(allowed.error());
  {
    const std::lock_guard lock(mutex_);
    planned->plan.id = job_.move.plan.id;
    job_.move.plan = std::move(planned->plan);
  }
  keep_planned(job_, std::move(*planned));
  job_.autostart = job_.move.plan.vm.autostart;
  return {};
}

// The engine has taken a place on both hosts before it let the move begin (Engine::dispatch).
StepResult PeerMove::admit() {
  while (!world_.slots.take(Slots::Way::kOut, job_.move.id, world_.book.settings().live_moves)) {
    if (auto interruption = interrupted(); !interruption) return interruption;
    pause_for(kSlotRetry);
  }
  return {};
}

StepResult PeerMove::reserve() {
  std::vector<std::uint8_t> key(32);
  fill_random(key);
  secret_ = {std::move(key), fmt::format("drover-move {} {}", job_.move.epoch, world_.public_key)};
  const auto record = world_.records.create_source(record_key(), job_.move.id);
  if (!record) return undo_because(record.error());
  job_.reserved = true;
  if (auto saved = save(); !saved) return undo_because(saved.error());

  // Until the answer: the destination looks whether it still sees the same files.
  const auto marks = DiskMarks::on_shared(job_.move.plan);
  if (!marks) return undo_because(marks.error());
  auto shown = marks->where();
  const auto network =
      network_marks_for(job_.move.plan, job_.destination_xml, secrets_of(world_.hypervisor));
  if (!network) return undo_because(network.error());
  shown.insert(shown.end(), network->begin(), network->end());
  const ReserveRequest request{job_.move.epoch,
                               job_.move.epoch,
                               job_.move.plan,
                               job_.destination_xml,
                               job_.destination_persistent_xml,
                               to_hex(secret_.key),
                               secret_.identity,
                               std::move(shown),
                               job_.destination_checkpoints};
  const auto reply = world_.peers.call(job_.move.destination, verb::kReserve, to_json(request),
                                       Deadline::after(kPeerCallLimit));
  if (!reply) {
    return undo_because(
        wrap(reply.error(), fmt::format("{} did not reserve room for {}.", job_.move.destination,
                                        job_.move.plan.vm.name)));
  }
  return {};
}

StepResult PeerMove::ask_to_prepare(std::string_view verb, const std::string& what) {
  const auto reply =
      world_.peers.call(job_.move.destination, verb, to_json(MoveName{job_.move.epoch}),
                        Deadline::after(kPeerCallLimit));
  if (reply) return {};
  return undo_because(wrap(
      reply.error(), fmt::format("{} could not prepare for {}.", job_.move.destination, what)));
}

// Where there was none, nothing has to be given back.
StepResult PeerMove::clear_autostart() {
  job_.autostart_cleared = true;
  if (job_.autostart) {
    if (auto saved = save(); !saved) return undo_because(saved.error());
  }
  if (auto cleared = world_.hypervisor.set_autostart(uuid(), false); !cleared)
    return undo_because(cleared.error());
  return {};
}

void PeerMove::restore_autostart() {
  if (!job_.autostart_cleared || !job_.autostart) return;
  if (auto set = world_.hypervisor.set_autostart(uuid(), true); !set) {
    log::warning("Move {}: autostart of {} was not restored: {}", job_.move.id, vm_name(),
                 set.error().text());
  }
}

// It may take its time.
StepResult PeerMove::verify() {
  while (true) {
    const auto text =
        world_.peers.call(job_.move.destination, verb::kVerify, to_json(MoveName{job_.move.epoch}),
                          Deadline::after(kPeerCallLimit));
    if (text && withdraw_word()) {
      const auto reply = verify_reply_from_json(*text);
      if (!reply)
        return parked(reply.error(),
                      "The destination's word could not be read; the source keeps its disks.");
      if (!reply->runs)
        return parked(Error{ErrorCode::kHypervisor, Retry::kNever, reply->text, {}},
                      not_there(reply->text));
      write_report(*reply);
      return {};
    }
    if (!text) {
      if (destination_is_lost(text.error())) return give_up_destination();
      log::warning("Move {}: {} cannot verify yet: {}", job_.move.id, job_.move.destination,
                   text.error().text());
    }
    if (!pause_for(kForwardRetry)) return leave();
  }
}

void PeerMove::write_report(const VerifyReply& reply) {
  Report report;
  report.duration = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::system_clock::now() - job_.move.started_at);
  if (carriers_) wire_ = carriers_->wire_count().value_or(wire_);
  report.bytes_on_wire = wire_.sent + wire_.received;
  report.memory_sent = wire_.memory_taken;
  report.disks_sent = wire_.disks_taken;
  report.kinds = wire_.kinds;
  report.networks = network_traffic();
  // Of a droverd that was restarted since: a difference that was found stays found.
  if (job_.move.report) report.proof = job_.move.report->proof;
  change([&](Move& move) {
    move.report = report;
    move.runner = Runner::kDestination;
    add_to_report(reply, move);
  });
}

StepResult PeerMove::let_go(const std::string& kept) {
  while (true) {
    const auto aside = quarantine_files(world_, job_);
    if (aside) break;
    if (!is_unanswered(aside.error())) return parked(aside.error(), kept);
    // libvirt here is being restarted: it is asked who uses them.
    log::warning("Move {}: the former disks cannot be put aside yet: {}", job_.move.id,
                 aside.error().text());
    if (!pause_for(kForwardRetry)) return leave();
  }
  std::set<std::string> folders;
  for (const auto& file : job_.files)
    folders.insert(std::filesystem::path(file.path).parent_path().string());
  for (const auto& folder : folders) (void)world_.hypervisor.refresh_pool(folder);

  while (true) {
    const auto reply = world_.peers.call(job_.move.destination, verb::kSettle,
                                         to_json(SettleRequest{job_.move.epoch, job_.autostart}),
                                         Deadline::after(kPeerCallLimit));
    if (reply || reply.error().code == ErrorCode::kNotFound) break;
    log::warning("Move {}: {} cannot settle yet: {}", job_.move.id, job_.move.destination,
                 reply.error().text());
    if (!pause_for(kForwardRetry)) return leave();
  }
  job_.reserved = false;
  if (auto removed = world_.records.remove(record_key()); !removed) {
    log::warning("Move {}: {}", job_.move.id, removed.error().text());
  }
  return {};
}

void PeerMove::undo_after_restart(std::string_view when) {
  // Of a wait, or an undo, that droverd died in: it is told again if it still is so.
  if (!job_.abandon) change([](Move& move) { move.explanation.clear(); });
  end(undo_because({ErrorCode::kUnavailable,
                    Retry::kNow,
                    fmt::format("droverd was restarted on {} {}.", job_.move.source, when),
                    {}}));
}

// True: nothing is left there, or there never was. Else the destination cleans up by itself once
// its mover has given up, and is told again (Engine).
bool PeerMove::undo_at_destination() {
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
bool PeerMove::tell_left() {
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

// The destination keeps what it recorded of this attempt for ever. What it has not heard of yet it
// is told before the next one begins.
bool PeerMove::another_follows(const Error& error) {
  if (job_.move.resolution) return false;
  const bool follows = try_again(error, Slots::Way::kOut, [this] {
    if (job_.reserved) job_.left_epoch = job_.move.epoch;
    job_.reserved = job_.carriers_started = job_.migrate_called = false;
    job_.autostart_cleared = job_.refusal_proven = false;
    job_.undefined = job_.save_called = job_.restore_called = false;
    job_.saved_images.clear();
    job_.files.clear();
    job_.fence_image = {};
  });
  if (follows) bandwidth_.reset();
  return follows;
}

}  // namespace drover::move
