// SPDX-License-Identifier: Apache-2.0
// What the destination says when it is asked who runs the VM (docs/ownership.md).
#include "base/log.h"
#include "json/model_json.h"
#include "move/cold/cold_files.h"
#include "move/destination/destination_side.h"
#include "move/health/health.h"

namespace drover::move {

using namespace std::chrono_literals;

// Rule 2: whoever asks takes the VM back unless it was accepted, so asking records the refusal.
Result<std::string> DestinationSide::answer(Entry& entry) {
  if (entry.job.undone || entry.job.undoing)
    return to_json(
        Answer{Answer::Kind::kRefused, {}, 0, "the move was undone on " + world_.host_name});
  if (!entry.job.prepared) {
    RETURN_IF_ERROR(undo(entry));
    return to_json(
        Answer{Answer::Kind::kRefused, {}, 0, "nothing was prepared on " + world_.host_name});
  }
  const auto decision = world_.records.decide(entry.key(), gate::Decision::kRefused);
  if (!decision) return to_json(Answer{Answer::Kind::kPending, {}, 0, decision.error().text()});
  if (*decision == gate::Decision::kRefused) {
    return to_json(Answer{Answer::Kind::kRefused, {}, 0, world_.host_name + " recorded a refusal"});
  }
  if (is_cold(entry.job.plan)) go_on_with_arrival(entry);
  const Answer truth = answer_accepted(entry);
  if (truth.kind == Answer::Kind::kGone && truth.ran == Answer::Ran::kNo && !entry.job.never_ran) {
    // Kept before it is said: after a restart what we saw is forgotten, and the word must stand.
    entry.job.never_ran = true;
    if (auto saved = save(entry); !saved) {
      entry.job.never_ran = false;
      return to_json(Answer{Answer::Kind::kPending, {}, 0, saved.error().text()});
    }
  }
  return to_json(truth);
}

Result<std::string> DestinationSide::look(Entry& entry) {
  const auto decision = world_.records.decision(entry.key());
  if (entry.job.undone || entry.job.undoing ||
      (decision && *decision && **decision == gate::Decision::kRefused)) {
    return to_json(Answer{Answer::Kind::kRefused, {}, 0, world_.host_name + " gave the move up"});
  }
  if (decision && *decision) return to_json(answer_accepted(entry));
  return to_json(Answer{Answer::Kind::kPending,
                        {},
                        0,
                        "the last call of the move has not come to " + world_.host_name,
                        entry.sink ? entry.sink->failure() : std::nullopt});
}

// After the end: the guest is this host's, and its source only asks how it does.
Result<std::string> DestinationSide::signs(Entry& entry, std::string_view body) {
  ASSIGN_OR_RETURN(const SignsRequest request, signs_request_from_json(body));
  if (!entry.job.settled) {
    return fail(ErrorCode::kConflict, "Move {} is not settled on {}.", entry.job.move_id,
                world_.host_name);
  }
  const std::string& uuid = entry.job.plan.vm.uuid;
  if (request.clock_ahead_ms)
    RETURN_IF_ERROR(set_guest_clock(world_.hypervisor, uuid, *request.clock_ahead_ms));
  ASSIGN_OR_RETURN(const GuestSigns signs, signs_of(world_.hypervisor, uuid));
  return json::to_json(signs);
}

// Nothing is carried any more, though the source may take days to settle or be parked: a place is
// held no longer.
Answer DestinationSide::answer_accepted(Entry& entry) {
  const Answer truth = truth_of(entry);
  if (truth.kind != Answer::Kind::kPending) world_.slots.give_back(Slots::Way::kIn, entry.place());
  return truth;
}

// Rule 3: the truth about an accepted move is what libvirt here says, once no incoming job is left.
Answer DestinationSide::truth_of(Entry& entry) {
  if (is_cold(entry.job.plan)) return truth_of_cold(entry);
  const auto& vm = entry.job.plan.vm;
  if (entry.carriers) {
    while (entry.carriers->next_event(Deadline::after(0ms))) {
    }
  }
  let_held_guest_run(entry);
  const auto state = world_.hypervisor.run_state(vm.uuid);
  if (!state)
    return {Answer::Kind::kPending, {}, 0, "libvirt on " + world_.host_name + " does not answer"};
  const auto outcome = world_.records.outcome(entry.key());
  const bool replied_ok = outcome && *outcome && (*outcome)->ok;
  const bool ran = replied_ok || entry.resumed_seen;
  const std::int32_t domain_id = replied_ok ? (*outcome)->domain_id : 0;
  switch (state->kind) {
    case RunState::Kind::kRunning:
    case RunState::Kind::kMigratingOut:
      return {Answer::Kind::kRuns, Answer::Ran::kYes, domain_id, "it runs on " + world_.host_name};
    case RunState::Kind::kPaused:
      if (ran || vm.state == VmState::kPaused) {
        return {Answer::Kind::kRuns, Answer::Ran::kYes, domain_id,
                "it is paused on " + world_.host_name};
      }
      return {Answer::Kind::kPending,
              {},
              0,
              "libvirt on " + world_.host_name + " has not resumed it yet"};
    case RunState::Kind::kIncoming:
      return {
          Answer::Kind::kPending, {}, 0, "libvirt on " + world_.host_name + " still takes it in"};
    case RunState::Kind::kOff:
    case RunState::Kind::kAbsent:
      break;
  }
  if (entry.job.never_ran)
    return {Answer::Kind::kGone, Answer::Ran::kNo, 0, "it never ran on " + world_.host_name};
  if (ran) {
    keep_definition(entry, *state);
    return {Answer::Kind::kGone, Answer::Ran::kYes, 0,
            "it ran on " + world_.host_name + " and ended"};
  }
  // Events come in order: an end that was seen without a resume before it is the end of a guest
  // that never ran.
  if (entry.watch_unbroken && !entry.stopped_seen) {
    return {Answer::Kind::kPending, {}, 0, world_.host_name + " awaits libvirt's word on its end"};
  }
  if (entry.watch_unbroken)
    return {Answer::Kind::kGone, Answer::Ran::kNo, 0, "it never ran on " + world_.host_name};
  keep_definition(entry, *state);
  return {Answer::Kind::kGone, Answer::Ran::kUnknown, 0,
          "it is not on " + world_.host_name + "; whether it ran is unknown"};
}

// Under `accepted` the newer disks are here, and nobody can start the VM without its definition:
// the one that libvirt wrote may have gone with this host's power.
void DestinationSide::keep_definition(const Entry& entry, const RunState& state) {
  if (state.kind != RunState::Kind::kAbsent || entry.job.persistent_xml.empty()) return;
  if (auto defined = world_.hypervisor.define(entry.job.persistent_xml); !defined) {
    log::warning("Move {}: {} cannot be defined anew: {}", entry.job.move_id,
                 entry.job.plan.vm.name, defined.error().text());
    return;
  }
  log::warning("Move {}: libvirt on {} had lost {}; it is defined anew.", entry.job.move_id,
               world_.host_name, entry.job.plan.vm.name);
}

}  // namespace drover::move
