// SPDX-License-Identifier: Apache-2.0
// The handing over of an offline or quick move, and what follows. libvirt here forgets the VM
// before the destination may know it; who has it is then read from the records and from the
// destination's word, never from the answer to a call that may be lost (docs/ownership.md).
#include "base/log.h"
#include "base/random.h"
#include "move/cold/cold_files.h"
#include "move/cold/cold_move.h"
#include "move/image_fence.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kArriveLimit = 120s;  // a guest is restored meanwhile
constexpr auto kAskAgain = 2s;

}  // namespace

StepResult ColdMove::hand_over() {
  end_space_watch();
  if (!job_.migrate_called) {
    if (auto taken = take_from_libvirt(); !taken) return taken;
    const auto text = ask_to_arrive();
    const auto answer = text ? answer_from_json(*text) : std::unexpected(text.error());
    if (!answer) {
      log::warning("Move {}: {} does not say whether it took {}: {}", job_.move.id,
                   job_.move.destination, vm_name(), answer.error().text());
      road_error_ = answer.error();
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
  note_if_started(*now);
  if (now->kind != RunState::Kind::kOff || *xml != job_.persistent_xml) {
    return undo_because({ErrorCode::kConflict,
                         Retry::kNow,
                         fmt::format("{} was {} meanwhile. Ask for the move again.", vm_name(),
                                     now->kind != RunState::Kind::kOff ? "started" : "changed"),
                         {}});
  }
  const auto newer = first_written(job_.saved_images);
  if (!newer) return undo_because(newer.error());
  if (*newer) {
    return undo_because({ErrorCode::kConflict,
                         Retry::kNever,
                         fmt::format("{} was written after {} was {}.", **newer, vm_name(),
                                     quick() ? "saved" : "found off"),
                         {}});
  }
  if (auto forgotten = forget_checkpoints(); !forgotten) return forgotten;
  if (auto stamped = stamp_saved_disks(); !stamped) return undo_because(stamped.error());
  job_.undefined = true;
  if (auto saved = save(); !saved) return undo_because(saved.error());
  if (auto aside = put_saved_aside(); !aside) return undo_because(aside.error());
  if (auto gone = world_.hypervisor.undefine(uuid()); !gone) return undo_because(gone.error());
  const auto left = world_.hypervisor.run_state(uuid());
  if (!left) return undo_because(left.error());
  note_if_started(*left);
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
  if (auto written = record_refusal("restored"); !written) return written;
  Error error{
      ErrorCode::kRefused, Retry::kLater, fmt::format("The move did not happen: {}.", why), {}};
  return undo_because(road_error_.value_or(std::move(error)));
}

StepResult ColdMove::destination_has_it() {
  if (auto written = world_.records.set_source(record_key(), gate::SourceState::kReleased);
      !written) {
    return parked(written.error(), "The ownership record cannot be written.");
  }
  // Who said before that the destination was lost was wrong.
  while (!withdraw_word()) {
    if (!pause_for(kAskAgain)) return leave();
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

std::string ColdMove::not_there(const std::string& why) const {
  return fmt::format(
      "{0} was handed to {1} and is not there any more as it came ({2}). Its current disks are "
      "there. Do not start the copy on {3}.",
      vm_name(), job_.move.destination, why, job_.move.source);
}

std::string ColdMove::in_doubt(const std::string& cause) const {
  return fmt::format(
      "{0} was being handed to {1} when the answer was lost ({3}). It is on {1}, or comes back to "
      "{2} "
      "once {1} says that it never was. Until then libvirt on {2} does not know it: do not define "
      "it "
      "there, nor use its disks.{4}",
      vm_name(), job_.move.destination, job_.move.source, cause,
      quick()                   ? " Its memory is kept in " + state_path() + "."
      : saved_file() != nullptr ? " Its memory is kept in " + saved_aside_path() + "."
                                : "");
}

// Said before it is defined again and, quick, restored.
std::string ColdMove::taken_back() const {
  if (quick()) return "It goes on from where it was saved.";
  return fmt::format("It is off, its disks are as they were: virsh start {}.", vm_name());
}

void ColdMove::add_to_report(const VerifyReply& reply, Move& move) {
  if (stood_still_) move.report->pause = stood_still_;
  // They went as streams of memory, and are disks.
  move.report->memory_sent = move.report->memory_sent - files_sent_;
  move.report->disks_sent += files_sent_;
  if (reply.checkpoints_lost.empty()) return;
  move.explanation = fmt::format(
      "{} is on {}, but libvirt there does not take its checkpoints: {} Their images are there, "
      "and what libvirt knew is in the journal of {}.",
      move.plan.vm.name, move.destination, reply.checkpoints_lost, move.source);
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
  end_road();
  remove_state();
  drop_saved();
  return let_go(
      fmt::format("{} is on {}. Its former disks on {} could not be put aside: do not use them.",
                  vm_name(), job_.move.destination, job_.move.source));
}

}  // namespace drover::move
