// SPDX-License-Identifier: Apache-2.0
// Who has the VM once the switch was tried: read from the ownership record and from the
// destination's word, never from the return value of a call that may be lost (docs/ownership.md).
#include <utility>

#include "base/log.h"
#include "move/peer_move.h"
#include "move/plan/shared_disks.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kAskInterval = 500ms;
constexpr auto kAskLimit = 10s;  // one question

}  // namespace

PeerMove::Outcome PeerMove::outcome_of(const Answer& answer) {
  switch (answer.kind) {
    case Answer::Kind::kRefused:
      return Outcome::kSource;
    case Answer::Kind::kRuns:
      return Outcome::kDestination;
    case Answer::Kind::kGone:
      return answer.ran == Answer::Ran::kNo ? Outcome::kSource : Outcome::kLost;
    case Answer::Kind::kPending:
      break;
  }
  return Outcome::kLost;
}

// Asks until the destination's record and its libvirt have answered. There is no giving up: both
// copies stay, the source stays fenced, and people are told where the VM may be, until one of them
// says that the destination is lost (docs/resolve.md). Nothing: our own record became final
// meanwhile.
std::expected<std::optional<Answer>, StepFailure> PeerMove::find_truth() {
  while (true) {
    const auto answer = ask_destination(verb::kAnswer, kAskLimit);
    const bool heard = answer && withdraw_word();
    if (heard && answer->kind != Answer::Kind::kPending) {
      log::info("Move {}: {} answers: {}.", job_.move.id, job_.move.destination, answer->text);
      return *answer;
    }
    if (record_is_final()) return std::nullopt;
    if (!answer && destination_is_lost(answer.error())) {
      destination_given_up_ = true;
      return Answer{
          Answer::Kind::kGone, Answer::Ran::kNo, 0,
          fmt::format("{} is lost, as {} said", job_.move.destination, job_.move.resolution->by)};
    }
    tell_doubt(answer ? answer->text : answer.error().text());
    keep_links();
    if (!pause_for(kAskInterval)) return leave();
  }
}

StepResult PeerMove::record_refusal(std::string_view nothing_was) {
  if (auto written = world_.records.set_source(record_key(), gate::SourceState::kKept); !written) {
    return parked(
        written.error(),
        fmt::format("The ownership record cannot be written; nothing was {}.", nothing_was));
  }
  if (destination_given_up_) return give_up_destination();
  job_.refusal_proven = true;
  if (auto written = put_down([](Move& move) { move.explanation.clear(); }); !written) {
    return parked(written.error(),
                  fmt::format("The journal cannot be written; nothing was {}.", nothing_was));
  }
  return {};
}

Result<Answer> PeerMove::ask_destination(std::string_view verb, std::chrono::milliseconds limit) {
  ASSIGN_OR_RETURN(const std::string text,
                   world_.peers.call(job_.move.destination, verb,
                                     to_json(MoveName{job_.move.epoch}), Deadline::after(limit)));
  return answer_from_json(text);
}

bool PeerMove::record_is_final() const {
  const auto record = world_.records.source(record_key());
  return record && (record->state == gate::SourceState::kReleased ||
                    record->state == gate::SourceState::kKept);
}

void PeerMove::tell_doubt(const std::string& cause) {
  if (std::exchange(told_doubt_, cause) == cause) return;
  log::warning("Move {}: in doubt: {}", job_.move.id, cause);
  change([&](Move& move) {
    move.runner = Runner::kUnknown;
    move.explanation = in_doubt(cause);
  });
}

std::string PeerMove::in_doubt(const std::string& cause) const {
  return fmt::format(
      "{0} was being switched to {1} when the answer was lost ({3}). It runs on {1}, or stands "
      "still on {2} until {1} answers. The copy on {2} must not be started.",
      vm_name(), job_.move.destination, job_.move.source, cause);
}

// Accepted there, and no longer there: its disks are newer than ours, or may be.
StepResult PeerMove::park_lost(const Answer& answer) {
  change([](Move& move) { move.runner = Runner::kDestination; });
  const std::string disks = copies_disks(job_.move.plan)
                                ? "Its newer disks are on " + job_.move.destination
                                : "Its disks are newer than what is left of it here";
  return parked(
      Error{ErrorCode::kInDoubt, Retry::kNever, answer.text, {}},
      fmt::format("{0} was accepted by {1} and does not run there any more ({3}). {4}: "
                  "start it there, on {1}. The copy on {2} stays fenced and must not be started.",
                  job_.move.plan.vm.name, job_.move.destination, job_.move.source, answer.text,
                  disks));
}

}  // namespace drover::move
