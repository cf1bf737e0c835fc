// SPDX-License-Identifier: Apache-2.0
// Who runs the VM once the switch was tried. The outcome is read from the ownership record and from
// the destination's word, never from the return value of libvirt's call (docs/ownership.md).
#include <utility>

#include "base/log.h"
#include "move/live/live_move.h"
#include "move/plan/shared_disks.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kAskInterval = 500ms;
constexpr auto kAnswerUsual = 3s;  // FINISH takes well below 2 s (facts 1.2)
constexpr auto kAskBriefly = 3s;   // one while the gates may settle it by themselves

}  // namespace

// While libvirt still waits at our gate for the answer to FINISH: find the truth and have the gate
// tell it. The gate writes the record; libvirt's call then ends, and settle_switch() reads the
// record.
StepResult LiveMove::settle_doubt_at_the_gate() {
  in_doubt_ = false;
  auto answer = find_truth();
  if (!answer) return std::unexpected(answer.error());
  if (!*answer) return {};  // the road came back and the gate has settled it
  if (outcome_of(**answer) == Outcome::kLost) return park_lost(**answer);
  tell_gate(**answer);
  return {};
}

// A gate that still awaits the answer hands it to libvirt and can then be stopped. One that died
// meanwhile changes nothing: libvirt's call ends with it, and the question is asked again there.
void LiveMove::tell_gate(const Answer& answer) {
  if (!carriers_->gate_alive()) return;
  const Status told = outcome_of(answer) == Outcome::kDestination
                          ? carriers_->deliver_runs(answer.domain_id)
                          : carriers_->deliver_not_run(answer.text);
  if (!told) log::warning("Move {}: {}", job_.move.id, told.error().text());
}

// libvirt's call is over, or its job is. Our own record first: the gate writes it before libvirt
// hears anything.
StepResult LiveMove::settle_switch() {
  const auto record = world_.records.source(record_key());
  if (!record) {
    return parked(
        record.error(),
        fmt::format("The ownership record of {} on {} cannot be read. Nothing was stopped or "
                    "deleted, and nothing may be started.",
                    job_.move.plan.vm.name, job_.move.source));
  }
  wire_ = carriers_->wire_count().value_or(wire_);
  if (record->state == gate::SourceState::kReleased) return destination_has_it();
  if (record->state == gate::SourceState::kKept) return source_keeps_it("the switch was refused");

  if (gate_never_switches()) return source_keeps_it("the switch never began");
  auto answer = find_truth();
  if (!answer) return std::unexpected(answer.error());
  if (!*answer) return settle_switch();  // the record has become final
  if (outcome_of(**answer) == Outcome::kLost) return park_lost(**answer);
  tell_gate(**answer);
  return outcome_of(**answer) == Outcome::kSource ? source_keeps_it((*answer)->text)
                                                  : destination_has_it();
}

// A living gate that has let no FINISH pass records that it never will, when it is stopped. That
// word is read, for a gate that is silent, or gone in between, may have let one pass meanwhile.
bool LiveMove::gate_never_switches() {
  if (!carriers_->gate_alive()) return false;
  const auto gate = carriers_->gate_state();
  if (!gate || gate->finish_forwarded) return false;
  if (auto stopped = carriers_->stop(); !stopped)
    log::warning("Move {}: {}", job_.move.id, stopped.error().text());
  const auto record = world_.records.source(record_key());
  return record && record->state == gate::SourceState::kKept;
}

// Before the switch a link that does not return is a stall, unless the other side has given the
// move up, as it does when its mover dies: then nothing is worth waiting for.
void LiveMove::links_are_down() {
  if (plain_road_) return PeerMove::links_are_down();
  if (job_.move.phase >= Phase::kSwitch || !carriers_->gate_alive()) return;
  const auto answer = ask_destination(verb::kLook, kAskBriefly);
  if (!answer || answer->kind != Answer::Kind::kRefused) return;
  remember({ErrorCode::kUnavailable,
            Retry::kLater,
            fmt::format("{}: its mover or its gate ended.", answer->text),
            {}});
  if (auto stopped = carriers_->stop(); !stopped)
    log::warning("Move {}: {}", job_.move.id, stopped.error().text());
}

// The gates settle it by themselves when the road returns or libvirt answers. But the other mover
// may be gone for ever, and ours never gives up once FINISH was let pass: so we look there
// ourselves, and what has an answer is settled as a doubt. Until then people must know what not to
// start, and what would help.
void LiveMove::look_after_a_late_answer() {
  if (job_.move.phase < Phase::kSwitch || record_is_final()) return;
  if (!answer_due_) answer_due_ = Deadline::after(kAnswerUsual);
  if (!answer_due_->expired()) return;
  const auto answer = ask_destination(verb::kLook, kAskBriefly);
  answer_due_ = Deadline::after(kAnswerUsual);
  if (!answer && destination_is_lost(answer.error())) {
    in_doubt_ = true;  // nothing more will come to our gate
  } else if (!answer) {
    tell_doubt(answer.error().text());
  } else if (answer->kind == Answer::Kind::kPending) {
    tell_doubt(fmt::format("{}; if that lasts, restart libvirt's daemon there, which ends no VM",
                           answer->text));
  } else {
    in_doubt_ = true;
  }
}

// It is proven that the guest never ran at the destination, and never will by this move. undo()
// does the rest.
StepResult LiveMove::source_keeps_it(std::string_view why) {
  if (auto written = record_refusal("resumed"); !written) return written;
  Error error{
      ErrorCode::kRefused, Retry::kLater, fmt::format("The move did not happen: {}.", why), {}};
  if (migrate_error_) error = *migrate_error_;
  if (carrier_error_) error = *carrier_error_;
  if (road_error_) error = *road_error_;
  if (given_up_) error = *given_up_;
  if (cancel_asked_)
    error = Error{ErrorCode::kCancelled, Retry::kNever, "The move was cancelled.", {}};
  return std::unexpected(StepFailure{AfterFailure::kUndo, std::move(error)});
}

// It is proven that the guest runs at the destination. What is left of it here ends: by libvirt,
// which has heard the success from its gate, else by us.
StepResult LiveMove::destination_has_it() {
  if (auto written = world_.records.set_source(record_key(), gate::SourceState::kReleased);
      !written) {
    return parked(written.error(),
                  "The ownership record cannot be written; the source stays fenced.");
  }
  // Who said before that the destination was lost was wrong.
  while (!withdraw_word()) {
    if (!pause_for(kAskInterval)) return leave();
  }
  change([](Move& move) {
    move.runner = Runner::kDestination;
    move.explanation.clear();
  });
  while (true) {
    const auto state = world_.hypervisor.run_state(uuid());
    if (state && (state->kind == RunState::Kind::kOff || state->kind == RunState::Kind::kAbsent))
      return {};
    if (state) {
      log::warning("Move {}: what is left of {} on {} ({}) is ended; it runs on {}.", job_.move.id,
                   job_.move.plan.vm.name, job_.move.source, state->reason, job_.move.destination);
      if (auto ended = world_.hypervisor.destroy(uuid()); !ended)
        log::warning("Move {}: {}", job_.move.id, ended.error().text());
    }
    if (!pause_for(kAskInterval)) return leave();
  }
}

}  // namespace drover::move
