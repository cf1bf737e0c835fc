// SPDX-License-Identifier: Apache-2.0
#include "move/resolve.h"

#include "json/model_json.h"
#include "move/cold/cold_files.h"
#include "move/peer_messages.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kAskLimit = 10s;

const std::string& vm_of(const Move& move) { return move.plan.vm.name; }

// A move that ends by itself, or has ended, needs nobody's word.
Status check_needed(const Move& move) {
  switch (move.state) {
    case MoveState::kParked:
      return {};
    case MoveState::kRunning:
      if (move.runner == Runner::kUnknown || move.phase == Phase::kVerify) return {};
      return fail(ErrorCode::kConflict,
                  "Move {} is under way and in no doubt. Watch it: drover watch {}.", move.id,
                  move.id);
    case MoveState::kDone:
    case MoveState::kFailed:
    case MoveState::kCancelled:
    case MoveState::kRehearsed:
      break;
  }
  return fail(ErrorCode::kConflict, "Move {} has ended ({}): {} was left on {}.", move.id,
              move_state_name(move.state), vm_of(move),
              move.runner == Runner::kDestination ? move.destination : move.source);
}

Status check_silent_source(World& world, const Move& move, const Claim& claim,
                           const Error& silence) {
  const bool forgotten = silence.code == ErrorCode::kNotFound;
  if (forgotten && !is_silent(world, move.destination, silence)) {
    RETURN_IF_ERROR(check_unknown_there(world, move));
  } else if (!is_silent(world, move.destination, silence)) {
    return std::unexpected(silence);
  }
  if (!claim.peer_is_lost) {
    return std::unexpected(wrap(
        Error{ErrorCode::kUnavailable, Retry::kLater, silence.text(), {}},
        fmt::format("{1} does not answer, so whether {0} runs there cannot be checked. Once it "
                    "answers, the move ends by itself. Only if {1} is off, and will never run "
                    "{0} again: drover resolve {2} --runs-on {3} --peer-is-lost.",
                    vm_of(move), move.destination, move.id, move.source)));
  }
  if (move.phase >= Phase::kSettle) {
    return fail(ErrorCode::kConflict,
                "{} had proven that {} runs there, and what {} had of it was put aside. To have "
                "its disks back: drover quarantine restore {}.",
                move.destination, vm_of(move), move.source, move.id);
  }
  return {};
}

Status check_source(World& world, const Move& move, const Claim& claim,
                    const Result<Answer>& there) {
  if (!there) return check_silent_source(world, move, claim, there.error());
  switch (there->kind) {
    case Answer::Kind::kRefused:
      return {};
    case Answer::Kind::kGone:
      if (there->ran == Answer::Ran::kNo) return {};
      return fail(ErrorCode::kConflict,
                  "That is not so. {0} accepted {1} ({2}), and what it wrote there is newer than "
                  "the disks on {3}. Start it on {0}, then: drover resolve {4} --runs-on {0}.",
                  move.destination, vm_of(move), there->text, move.source, move.id);
    case Answer::Kind::kRuns:
      return fail(ErrorCode::kConflict, "That is not so: {} says of {} that {}.", move.destination,
                  vm_of(move), there->text);
    case Answer::Kind::kPending:
      break;
  }
  return fail(ErrorCode::kConflict,
              "{} answers, but cannot say yet whether {} runs there: {}. The move ends by itself "
              "once it can.",
              move.destination, vm_of(move), there->text);
}

Status check_destination(const Move& move, const RunState& here, const Result<Answer>& there) {
  if (!there) {
    return std::unexpected(wrap(
        there.error(), fmt::format("Whether {} runs on {} cannot be checked. Once {} answers, the "
                                   "move ends by itself.",
                                   vm_of(move), move.destination, move.destination)));
  }
  if (there->kind != Answer::Kind::kRuns) {
    const bool start = there->kind == Answer::Kind::kGone && there->ran != Answer::Ran::kNo;
    return fail(ErrorCode::kConflict, "That is not so: {} says of {} that {}.{}", move.destination,
                vm_of(move), there->text,
                start ? fmt::format(" Start it there first: virsh start {}.", vm_of(move)) : "");
  }
  if (here.kind == RunState::Kind::kRunning) {
    return fail(ErrorCode::kInDoubt,
                "{0} runs on {1} and on {2} as well. Stop one of them, the one whose disks you can "
                "do without, before anything else: virsh destroy {0}.",
                vm_of(move), move.destination, move.source);
  }
  if (move.state == MoveState::kRunning) {
    return fail(ErrorCode::kConflict, "It is so, and move {} goes on by itself: drover watch {}.",
                move.id, move.id);
  }
  return {};
}

}  // namespace

bool is_silent(World& world, const std::string& destination, const Error& error) {
  return error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kTimeout ||
         error.code == ErrorCode::kUnauthenticated || !world.book.find_peer(destination);
}

// Its list of VMs is complete.
Status check_unknown_there(World& world, const Move& move) {
  ASSIGN_OR_RETURN(const std::string text, world.peers.call(move.destination, verb::kVms, "{}",
                                                            Deadline::after(kAskLimit)));
  ASSIGN_OR_RETURN(const auto vms, json::vms_from_json(text, json::Unknown::kIgnore));
  for (const auto& vm : vms) {
    if (vm.uuid == move.plan.vm.uuid) {
      return fail(ErrorCode::kConflict,
                  "{} has lost what it knew of move {}, but it has {}. Look at it there first.",
                  move.destination, move.id, vm_of(move));
    }
  }
  return {};
}

Result<Resolution> check_claim(World& world, const Move& move, const Claim& claim) {
  const bool source = claim.runs_on == move.source;
  if (!source && claim.runs_on != move.destination) {
    return fail(ErrorCode::kInvalidArgument, "Move {} is between {} and {}; {} is neither.",
                move.id, move.source, move.destination, claim.runs_on);
  }
  if (claim.peer_is_lost && !source) {
    return fail(ErrorCode::kInvalidArgument, "If {} is lost, {} cannot run there.",
                move.destination, vm_of(move));
  }
  RETURN_IF_ERROR(check_needed(move));
  const auto here = world.hypervisor.run_state(move.plan.vm.uuid);
  if (!here) return std::unexpected(wrap(here.error(), "The claim cannot be checked."));
  // A move without libvirt's migration took it from libvirt there, and gives it back.
  if (source && here->kind == RunState::Kind::kAbsent && !is_cold(move.plan)) {
    return fail(ErrorCode::kConflict, "That is not so: {} has no {} any more.", move.source,
                vm_of(move));
  }
  auto there = [&]() -> Result<Answer> {
    ASSIGN_OR_RETURN(const std::string text,
                     world.peers.call(move.destination, verb::kLook, to_json(MoveName{move.epoch}),
                                      Deadline::after(kAskLimit)));
    return answer_from_json(text);
  }();
  RETURN_IF_ERROR(source ? check_source(world, move, claim, there)
                         : check_destination(move, *here, there));
  if (source && there && claim.peer_is_lost) {
    return fail(ErrorCode::kConflict, "{} answers, so it is not lost. Leave that word away.",
                move.destination);
  }
  return Resolution{claim.runs_on, claim.peer_is_lost, claim.by, std::chrono::system_clock::now()};
}

}  // namespace drover::move
