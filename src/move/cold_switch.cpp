// SPDX-License-Identifier: Apache-2.0
// The handing over of an offline or quick move, and what follows. libvirt here forgets the VM
// before the destination may know it; who has it is then read from the records and from the
// destination's word, never from the answer to a call that may be lost (docs/ownership.md).
#include "base/log.h"
#include "base/random.h"
#include "move/cold_files.h"
#include "move/cold_move.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kArriveLimit = 120s;  // a guest is restored meanwhile
constexpr auto kCallLimit = 30s;
constexpr auto kAskAgain = 2s;  // verify asks again for ever

std::unexpected<StepFailure> undo_because(Error error) {
  return std::unexpected(StepFailure{AfterFailure::kUndo, std::move(error)});
}

}  // namespace

StepResult ColdMove::hand_over() {
  if (!job_.migrate_called) {
    if (auto taken = take_from_libvirt(); !taken) return taken;
    const auto text = ask_to_arrive();
    const auto answer = text ? answer_from_json(*text) : std::unexpected(text.error());
    if (!answer) {
      log::warning("Move {}: {} does not say whether it took {}: {}", job_.move.id,
                   job_.move.destination, vm_name(), answer.error().text());
      given_up_ = answer.error();
    } else if (answer->kind == Answer::Kind::kRuns) {
      return destination_has_it();
    }
  }
  return find_who_has_it();
}

// Nobody can start here what libvirt does not know, whatever becomes of droverd; the definition is
// in the journal. The locks have done their duty then.
StepResult ColdMove::take_from_libvirt() {
  const auto now = world_.hypervisor.run_state(uuid());
  if (!now) return undo_because(now.error());
  const auto xml = world_.hypervisor.definition(uuid(), DefinitionKind::kPersistent);
  if (!xml) return undo_because(xml.error());
  if (now->kind != RunState::Kind::kOff || *xml != job_.persistent_xml) {
    return undo_because({ErrorCode::kConflict,
                         Retry::kNow,
                         fmt::format("{} was {} meanwhile. Ask for the move again.", vm_name(),
                                     now->kind != RunState::Kind::kOff ? "started" : "changed"),
                         {}});
  }
  job_.undefined = true;
  if (auto saved = save(); !saved) return undo_because(saved.error());
  if (auto gone = world_.hypervisor.undefine(uuid()); !gone) return undo_because(gone.error());
  const auto left = world_.hypervisor.run_state(uuid());
  if (!left) return undo_because(left.error());
  if (left->kind != RunState::Kind::kAbsent) {
    return undo_because({ErrorCode::kConflict,
                         Retry::kNow,
                         fmt::format("{} was started meanwhile ({}).", vm_name(), left->reason),
                         {}});
  }
  if (fence_) {
    if (auto lifted = fence_->lift(); !lifted) return undo_because(lifted.error());
    fence_.reset();
  }
  if (auto written = world_.records.set_source(record_key(), gate::SourceState::kSwitching);
      !written) {
    return undo_because(written.error());
  }
  job_.migrate_called = true;
  if (auto saved = save(); !saved) {
    job_.migrate_called = false;
    return undo_because(saved.error());
  }
  return {};
}

Result<std::string> ColdMove::ask_to_arrive() {
  ArriveRequest request{job_.move.epoch, sent_files_, ""};
  if (quick()) {
    ASSIGN_OR_RETURN(request.state_head, read_state_head(state_path()));
  }
  return world_.peers.call(job_.move.destination, verb::kArrive, to_json(request),
                           Deadline::after(kArriveLimit));
}

// Our own record first: it is final if an earlier droverd got so far.
StepResult ColdMove::find_who_has_it() {
  while (true) {
    const auto record = world_.records.source(record_key());
    if (!record) {
      return parked(record.error(),
                    fmt::format("The ownership record of {} on {} cannot be read. Nothing was "
                                "deleted, and nothing may be started.",
                                vm_name(), job_.move.source));
    }
    if (record->state == gate::SourceState::kReleased) return destination_has_it();
    if (record->state == gate::SourceState::kKept) return source_keeps_it("it was refused");
    auto answer = find_truth();
    if (!answer) return std::unexpected(answer.error());
    if (!*answer) continue;  // the record has become final
    if (outcome_of(**answer) == Outcome::kLost) return park_lost(**answer);
    return outcome_of(**answer) == Outcome::kSource ? source_keeps_it((*answer)->text)
                                                    : destination_has_it();
  }
}

// It is proven that it never ran at the destination, and never will by this move.
StepResult ColdMove::source_keeps_it(std::string_view why) {
  if (auto written = world_.records.set_source(record_key(), gate::SourceState::kKept); !written)
    return parked(written.error(), "The ownership record cannot be written; nothing was restored.");
  if (destination_given_up_) return give_up_destination();
  job_.refusal_proven = true;
  {
    const std::lock_guard lock(mutex_);
    job_.move.explanation.clear();
  }
  if (auto saved = save(); !saved)
    return parked(saved.error(), "The journal cannot be written; nothing was restored.");
  Error error{
      ErrorCode::kRefused, Retry::kLater, fmt::format("The move did not happen: {}.", why), {}};
  return undo_because(given_up_.value_or(std::move(error)));
}

StepResult ColdMove::destination_has_it() {
  if (auto written = world_.records.set_source(record_key(), gate::SourceState::kReleased);
      !written) {
    return parked(written.error(), "The ownership record cannot be written.");
  }
  // Who said before that the destination was lost was wrong.
  while (!withdraw_word()) {
    if (!pause_for(kAskAgain)) return std::unexpected(StepFailure{AfterFailure::kLeave, {}});
  }
  if (quick() && stands_since_.time_since_epoch().count() != 0) {
    stood_still_ = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - stands_since_);
  }
  change([](Move& move) {
    move.runner = Runner::kDestination;
    move.explanation.clear();
  });
  return {};
}

// The destination proves that it has the VM and that everything is on stable storage. It may take
// its time.
StepResult ColdMove::verify() {
  while (true) {
    const auto text =
        world_.peers.call(job_.move.destination, verb::kVerify, to_json(MoveName{job_.move.epoch}),
                          Deadline::after(kCallLimit));
    if (text && withdraw_word()) {
      auto reply = verify_reply_from_json(*text);
      if (!reply)
        return parked(reply.error(),
                      "The destination's word could not be read; the source keeps its disks.");
      if (!reply->runs) {
        return parked(Error{ErrorCode::kHypervisor, Retry::kNever, reply->text, {}},
                      fmt::format("{0} was handed to {1} and is not there any more as it came "
                                  "({2}). Its current disks are there. Do not start the copy on "
                                  "{3}.",
                                  vm_name(), job_.move.destination, reply->text, job_.move.source));
      }
      write_report(*reply);
      return {};
    }
    if (!text) {
      if (destination_is_lost(text.error())) return give_up_destination();
      log::warning("Move {}: {} cannot verify yet: {}", job_.move.id, job_.move.destination,
                   text.error().text());
    }
    if (!pause_for(kAskAgain)) return std::unexpected(StepFailure{AfterFailure::kLeave, {}});
  }
}

void ColdMove::write_report(const VerifyReply&) {
  Report report;
  if (stood_still_) report.pause = stood_still_;
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
  });
}

StepResult ColdMove::disks_differ(const std::string& difference) {
  const Move& move = job_.move;
  return parked(
      Error{ErrorCode::kCorrupt, Retry::kNever, difference + ".", {}},
      fmt::format("{0} is on {1}, but what {1} has is not what {2} has: {3}. Nothing was released: "
                  "{2} keeps its disks. {4} Look at the file systems of {0} on {1}. If they are "
                  "whole: drover resolve {5} --runs-on {1}, which finishes the move. If not, copy "
                  "the disks of {2} over the ones there, and resolve it likewise.",
                  move.plan.vm.name, move.destination, move.source, difference,
                  quick() ? "Shut it down there first." : "Do not start it there.", move.id));
}

StepResult ColdMove::settle() {
  if (carriers_) (void)carriers_->stop();
  world_.carriage.remove_files(carrier_name());
  remove_state();
  return let_go(
      fmt::format("{} is on {}. Its former disks on {} could not be put aside: do not use them.",
                  vm_name(), job_.move.destination, job_.move.source));
}

}  // namespace drover::move
