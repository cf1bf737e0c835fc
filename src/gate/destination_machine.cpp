// SPDX-License-Identifier: Apache-2.0
#include "gate/destination_machine.h"

#include <utility>

#include "base/log.h"
#include "gate/allow_list.h"
#include "gate/write_watch.h"

namespace drover::gate {
namespace {

// libvirtd numbers its calls from 0; FINISH alone is under way when ours are made.
constexpr std::uint32_t kOwnSerial = 0x44520001;

Actions& operator+=(Actions& actions, Actions more) {
  for (Action& action : more) actions.push_back(std::move(action));
  return actions;
}

}  // namespace

RpcPacket DestinationMachine::refusal(const RpcHeader& call, std::int32_t code,
                                      const std::string& why) const {
  return make_error_reply(call,
                          {code, kFromRpc, fmt::format("Drover's gate on {}: {}", host_, why), 2});
}

Actions DestinationMachine::peer_packet(RpcPacket packet) {
  const CallJudgement judged = judge_call(packet);
  if (judged.verdict == CallVerdict::kPing || judged.verdict == CallVerdict::kIgnore) return {};
  if (judged.verdict == CallVerdict::kBreak) return road_closed(judged.why);
  if (judged.verdict == CallVerdict::kRefuse) return refuse_call(packet, judged.why);
  if (std::holds_alternative<Idle>(state_)) {
    state_ = Connecting{std::move(packet)};
    return {ConnectLibvirt{}};
  }
  if (std::holds_alternative<Relaying>(state_)) return pass_call(std::move(packet));
  if (const auto* refused = std::get_if<Refused>(&state_)) {
    // The record's word, not an error's, is what lets the source resume.
    if (packet.header.procedure == kMigrateFinish) return {Decide{Decision::kRefused}};
    return {SendToPeer{refusal(packet.header, kErrOperationFailed, refused->why)}};
  }
  if (ended()) return {};
  return {SendToPeer{refusal(packet.header, kErrOperationFailed,
                             "this migration's last call was already carried")}};
}

Actions DestinationMachine::libvirt_connected(const Status& status) {
  auto* connecting = std::get_if<Connecting>(&state_);
  if (connecting == nullptr) return {};
  RpcPacket first = std::move(connecting->first);
  if (status) {
    state_ = Relaying{};
    return pass_call(std::move(first));
  }
  state_ = Idle{};
  return {SendToPeer{refusal(first.header, kErrOperationFailed,
                             "libvirtd does not answer: " + status.error().text())}};
}

Actions DestinationMachine::refuse_call(const RpcPacket& packet, const std::string& why) {
  GateEvent event{.kind = GateEventKind::kPolicyRefused};
  event.call = procedure_name(packet.header.procedure);
  event.error = why;
  return {SendToPeer{refusal(packet.header, kErrAccessDenied, "this is refused: " + why)},
          Emit{std::move(event)}};
}

Actions DestinationMachine::pass_call(RpcPacket packet) {
  if (packet.header.procedure == kMigratePrepare) return pass_prepare(std::move(packet));
  if (packet.header.procedure == kMigrateFinish) return pass_finish(std::move(packet));
  if (!pending_.add(packet.header)) return road_closed("the source has too many calls in flight");
  return {SendToLibvirt{std::move(packet)}};
}

Actions DestinationMachine::pass_prepare(RpcPacket packet) {
  auto& relaying = std::get<Relaying>(state_);
  if (relaying.prepare != Prepare::kNone) {
    return refuse_call(packet, "this gate carries one migration, and it was prepared");
  }
  const auto call = decode_prepare_call(packet.payload());
  const Status allowed = call ? checks_.prepare(*call) : std::unexpected(call.error());
  if (!allowed) return refuse_call(packet, allowed.error().text());
  if (!pending_.add(packet.header)) return road_closed("the source has too many calls in flight");
  relaying.prepare = Prepare::kSent;
  return {SendToLibvirt{std::move(packet)}};
}

Actions DestinationMachine::pass_finish(RpcPacket packet) {
  if (std::get<Relaying>(state_).prepare != Prepare::kDone) {
    return refuse_call(packet, "FINISH came before PREPARE");
  }
  const auto call = decode_finish_call(packet.payload());
  Status allowed = call ? Status{} : std::unexpected(call.error());
  // A cancelled FINISH only ends the incoming QEMU; libvirtd reads none of its definitions then.
  if (call && !call->cancelled) allowed = checks_.finish(*call);
  if (!allowed) {
    GateEvent event{.kind = GateEventKind::kPolicyRefused};
    event.call = procedure_name(kMigrateFinish);
    event.error = allowed.error().text();
    Actions actions{Emit{std::move(event)}};
    return actions += give_up(allowed.error().text());
  }
  if (!pending_.add(packet.header)) return road_closed("the source has too many calls in flight");
  finish_seen_ = true;
  finish_cancelled_ = call->cancelled;
  state_ = Deciding{std::move(packet)};
  return {Decide{call->cancelled ? Decision::kRefused : Decision::kAccepted}};
}

Actions DestinationMachine::decided(const Result<Decision>& decision) {
  if (auto* deciding = std::get_if<Deciding>(&state_)) {
    RpcPacket finish = std::move(deciding->finish);
    if (finish_cancelled_) {
      // Nothing was accepted here, so ending the incoming QEMU is right even if the record failed.
      state_ = Cancelling{};
      return {Emit{{.kind = GateEventKind::kFinishSeen, .cancelled = true}},
              SendToLibvirt{std::move(finish)}};
    }
    if (decision && *decision == Decision::kAccepted) {
      if (!watch_.empty()) held_ = hold_guest(finish);
      state_ = Finishing{finish.header};
      return {TellMover{MoverNews::kFinishForwarded}, SendToLibvirt{std::move(finish)},
              Emit{{.kind = GateEventKind::kFinishSeen}}};
    }
    // Not forwarded either way, so nothing runs here: the incoming QEMU dies with the connection.
    const std::string why = decision ? "the move was taken back before FINISH arrived"
                                     : "FINISH could not be accepted: " + decision.error().text();
    const NoteKind kind = decision ? NoteKind::kRefused : NoteKind::kUndecided;
    state_ = Refused{why};
    pending_.clear();
    return {CloseLibvirt{}, SendNote{{kind, why}}};
  }
  const auto* refused = std::get_if<Refused>(&state_);
  if (refused == nullptr || road_gone_) {
    return refused == nullptr ? Actions{} : end(GateOutcome::kAborted);
  }
  if (!decision) return {SendNote{{NoteKind::kUndecided, decision.error().text()}}};
  // An acceptance whose write reported an error: nothing was forwarded, but `refused` is the
  // record's word alone.
  if (*decision != Decision::kRefused)
    return {
        SendNote{{NoteKind::kUndecided, "the record says accepted, and nothing was forwarded"}}};
  return {SendNote{{NoteKind::kRefused, refused->why}}};
}

Actions DestinationMachine::give_up(const std::string& why) {
  state_ = Refused{why};
  pending_.clear();
  return {CloseLibvirt{}, Decide{Decision::kRefused}};
}

Actions DestinationMachine::refuse() {
  if (ended() || accepted()) return {};
  // Asked before, and perhaps it could not be recorded then.
  if (std::holds_alternative<Refused>(state_)) return {Decide{Decision::kRefused}};
  return give_up("the move was taken back");
}

Actions DestinationMachine::peer_note(const Note& note) {
  // The source has nothing left to hear.
  if (note.kind == NoteKind::kClosed && std::holds_alternative<Answered>(state_)) {
    const GateOutcome outcome = std::get<Answered>(state_).outcome;
    if (outcome == GateOutcome::kRuns) return end(outcome);
  }
  return road_closed("the source ended the move: " + note.text);
}

Actions DestinationMachine::road_closed(const std::string& why) {
  if (ended()) return {};
  road_gone_ = true;
  // Accepted: the VM belongs here; what libvirtd says is recorded for whoever asks.
  if (accepted()) return {};
  return give_up(why);
}

bool DestinationMachine::accepted() const {
  return std::holds_alternative<Finishing>(state_) || watching() ||
         std::holds_alternative<Answered>(state_);
}

Actions DestinationMachine::libvirt_packet(RpcPacket packet) {
  if (is_ping(packet.header)) return {SendToLibvirt{make_pong()}};
  if (is_keepalive(packet.header) || ended()) return {};
  if (watching() && packet.header.serial == kOwnSerial) return watch_answered(packet);
  if (is_connection_closed_event(packet.header)) {
    const bool relaying = std::holds_alternative<Relaying>(state_);
    return relaying ? Actions{SendToPeer{std::move(packet)}} : Actions{};
  }
  const auto call = is_answer(packet.header) ? pending_.take(packet.header) : std::nullopt;
  if (!call) return {};  // an event nobody asked for; the source does not get to see it
  if (call->procedure == kMigrateFinish) return finish_answered(std::move(packet));
  Actions actions;
  if (call->procedure == kMigratePrepare && packet.header.status == RpcStatus::kOk) {
    if (auto* relaying = std::get_if<Relaying>(&state_)) relaying->prepare = Prepare::kDone;
    actions.push_back(Emit{{.kind = GateEventKind::kPrepared}});
  }
  actions.push_back(SendToPeer{std::move(packet)});
  return actions;
}

Actions DestinationMachine::finish_answered(RpcPacket reply) {
  finish_replied_ = true;
  const bool is_error = reply.header.status == RpcStatus::kError;
  GateEvent event{.kind = GateEventKind::kFinishReplied, .ok = !is_error};
  if (is_error) event.error = error_text(reply);
  if (std::holds_alternative<Cancelling>(state_)) {
    state_ = Refused{"the move was cancelled"};
    return {SendToPeer{std::move(reply)}, Emit{std::move(event)}};
  }
  Outcome outcome{!is_error, -1, event.error};
  if (!is_error) {
    auto answer = decode_finish_reply(reply.payload());
    if (!watch_.empty() && !watching()) {
      if (answer) return begin_watch(std::move(reply), std::move(*answer));
      state_ = Watching{std::move(reply), {}, WatchStep::kResuming};
      return not_let_run("FINISH's answer is malformed");
    }
    if (answer) event.domain_id = outcome.domain_id = answer->domain_id;
  }
  state_ = Answered{outcome.ok ? GateOutcome::kRuns : GateOutcome::kInDoubt};
  return {RecordOutcome{std::move(outcome)}, SendToPeer{std::move(reply)}, Emit{std::move(event)}};
}

// The guest stands still at its first instruction here: whatever it writes comes later.
Actions DestinationMachine::begin_watch(RpcPacket reply, FinishReply domain) {
  RpcPacket list = monitor_call(domain, list_disks_command(), kOwnSerial);
  finish_replied_ = false;
  state_ = Watching{std::move(reply), std::move(domain)};
  return {SendToLibvirt{std::move(list)}};
}

Actions DestinationMachine::watch_answered(const RpcPacket& reply) {
  auto& watching = std::get<Watching>(state_);
  if (reply.header.type != RpcType::kReply) return {};
  if (watching.step == WatchStep::kResuming) {
    if (reply.header.status != RpcStatus::kOk) return not_let_run(error_text(reply));
    return finish_answered(std::move(watching.reply));
  }
  const auto answer = monitor_answer(reply);
  if (!answer) return let_run(std::unexpected(answer.error()));
  if (watching.step == WatchStep::kBeginning) return let_run(check_answer(*answer));
  const auto command = begin_watch_command(*answer, watch_);
  if (!command) return let_run(std::unexpected(command.error()));
  watching.step = WatchStep::kBeginning;
  return {SendToLibvirt{monitor_call(watching.domain, *command, kOwnSerial)}};
}

Actions DestinationMachine::let_run(const Status& watched) {
  if (!watched) {
    log::warning("Move {}: what the guest writes on {} is not watched: {}", watch_, host_,
                 watched.error().text());
  }
  auto& watching = std::get<Watching>(state_);
  if (!held_) return finish_answered(std::move(watching.reply));
  watching.step = WatchStep::kResuming;
  return {SendToLibvirt{resume_call(watching.domain, kOwnSerial)}};
}

// As if FINISH itself had failed: the truth is looked for, and droverd lets it run.
Actions DestinationMachine::not_let_run(const std::string& why) {
  const RpcHeader finish = std::get<Watching>(state_).reply.header;
  return finish_answered(refusal({.procedure = kMigrateFinish, .serial = finish.serial},
                                 kErrOperationFailed, "the guest was not let run: " + why));
}

Actions DestinationMachine::libvirt_closed(const std::string& why) {
  if (std::holds_alternative<Finishing>(state_) || watching()) {
    finish_replied_ = true;
    state_ = Answered{GateOutcome::kInDoubt};
    GateEvent event{.kind = GateEventKind::kFinishReplied};
    event.error = "libvirtd closed the connection before it answered FINISH: " + why;
    return {SendNote{{NoteKind::kLibvirtClosed, event.error}}, Emit{event}};
  }
  if (ended() || lingering() || std::holds_alternative<Idle>(state_)) return {};
  return give_up("the destination's libvirtd closed the connection: " + why);
}

Actions DestinationMachine::end(GateOutcome outcome) {
  state_ = Ended{};
  return {CloseLibvirt{}, TellMover{MoverNews::kSettled},
          Emit{{.kind = GateEventKind::kEnded, .outcome = outcome}}, Exit{}};
}

Status DestinationMachine::may_open_streams() const {
  const auto* relaying = std::get_if<Relaying>(&state_);
  if (relaying != nullptr && relaying->prepare == Prepare::kDone) return {};
  return fail(ErrorCode::kConflict, "The destination's gate is '{}': QEMU awaits no stream.",
              state_name());
}

Result<Actions> DestinationMachine::stop() {
  if (ended()) return Actions{};
  if (std::holds_alternative<Finishing>(state_) || watching()) {
    return fail(ErrorCode::kConflict,
                "The destination's gate cannot stop while an accepted FINISH has no answer.");
  }
  if (const auto* answered = std::get_if<Answered>(&state_)) return end(answered->outcome);
  if (std::holds_alternative<Refused>(state_)) return end(GateOutcome::kAborted);
  road_gone_ = true;
  return give_up("droverd stopped the move");
}

bool DestinationMachine::in_doubt() const {
  const auto* answered = std::get_if<Answered>(&state_);
  return answered != nullptr && answered->outcome == GateOutcome::kInDoubt;
}

bool DestinationMachine::lingering() const {
  return std::holds_alternative<Answered>(state_) || std::holds_alternative<Refused>(state_);
}

std::string_view DestinationMachine::state_name() const {
  constexpr std::string_view kNames[] = {"idle",      "connecting", "relaying",   "deciding",
                                         "finishing", "watching",   "cancelling", "answered",
                                         "refused",   "ended"};
  return kNames[state_.index()];
}

}  // namespace drover::gate
