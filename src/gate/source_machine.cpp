// SPDX-License-Identifier: Apache-2.0
#include "gate/source_machine.h"

#include <utility>

#include "gate/allow_list.h"

namespace drover::gate {
namespace {

RpcPacket refusal(const RpcHeader& call, std::int32_t code, std::string text) {
  return make_error_reply(call, {code, kFromRpc, std::move(text), 2});
}

Actions& operator+=(Actions& actions, Actions more) {
  for (Action& action : more) actions.push_back(std::move(action));
  return actions;
}

std::unexpected<Error> wrong_state(std::string_view command, std::string_view state) {
  return fail(ErrorCode::kConflict, "The source's gate is '{}' and cannot {} now.", state, command);
}

}  // namespace

Actions SourceMachine::libvirt_connected() {
  if (std::holds_alternative<Waiting>(state_)) state_ = Relaying{};
  return {};
}

Actions SourceMachine::libvirt_packet(RpcPacket packet) {
  const CallJudgement judged = judge_call(packet);
  switch (judged.verdict) {
    case CallVerdict::kPing:
      return {SendToLibvirt{make_pong()}};
    case CallVerdict::kIgnore:
      return {};
    case CallVerdict::kRefuse: {
      GateEvent event{.kind = GateEventKind::kPolicyRefused};
      event.call = procedure_name(packet.header.procedure);
      event.error = judged.why;
      return {SendToLibvirt{refusal(packet.header, kErrAccessDenied,
                                    "Drover's gate refuses this call: " + judged.why + ".")},
              Emit{std::move(event)}};
    }
    case CallVerdict::kBreak: {
      // What is no call cannot be answered; after FINISH(0) the connection must not break.
      if (std::holds_alternative<Finishing>(state_) || in_doubt()) return {};
      return abort("libvirtd sent what is no call: " + judged.why);
    }
    case CallVerdict::kPass:
      break;
  }
  if (std::holds_alternative<Relaying>(state_)) return pass_call(std::move(packet));
  return answer_here(packet);
}

Actions SourceMachine::pass_call(RpcPacket packet) {
  if (packet.header.procedure == kMigrateFinish) return pass_finish(std::move(packet));
  if (packet.header.procedure == kMigratePrepare) return pass_prepare(std::move(packet));
  if (!pending_.add(packet.header)) return abort("libvirtd has too many calls in flight");
  return {SendToPeer{std::move(packet)}};
}

Actions SourceMachine::pass_prepare(RpcPacket packet) {
  auto& relaying = std::get<Relaying>(state_);
  if (relaying.prepare != Prepare::kNone) {
    return {SendToLibvirt{refusal(packet.header, kErrOperationFailed,
                                  "Drover's gate carries one migration, and it was prepared.")}};
  }
  if (!pending_.add(packet.header)) return abort("libvirtd has too many calls in flight");
  relaying.prepare = Prepare::kSent;
  return {SendToPeer{std::move(packet)}};
}

Actions SourceMachine::pass_finish(RpcPacket packet) {
  const auto call = decode_finish_call(packet.payload());
  if (!call || std::get<Relaying>(state_).prepare != Prepare::kDone) {
    const std::string why = call ? "it was never prepared" : call.error().text();
    return {SendToLibvirt{refusal(packet.header, kErrOperationFailed,
                                  "Drover's gate cannot finish this migration: " + why + ".")}};
  }
  if (!pending_.add(packet.header)) return abort("libvirtd has too many calls in flight");
  finish_seen_ = true;
  finish_cancelled_ = call->cancelled;
  if (call->cancelled) {
    state_ = Cancelling{};
    return {RecordSource{SourceState::kKept},
            Emit{{.kind = GateEventKind::kFinishSeen, .cancelled = true}},
            SendToPeer{std::move(packet)}};
  }
  state_ = Fencing{std::move(packet)};
  return {TellMover{MoverNews::kStandstill}, RecordSwitching{}};
}

Actions SourceMachine::memory_opened() {
  const bool too_late = ended() || settled() || in_doubt() || finish_seen_;
  return too_late ? Actions{} : Actions{RecordSwitching{}};
}

Actions SourceMachine::switching_recorded(const Status& status) {
  if (std::holds_alternative<Fencing>(state_)) {
    if (status) return {TakeFence{}};
    return fence_taken(status);
  }
  if (status) return {Emit{{.kind = GateEventKind::kSwitching}}};
  return abort("the switch could not be recorded: " + status.error().text());
}

Actions SourceMachine::fence_taken(const Status& status) {
  auto* fencing = std::get_if<Fencing>(&state_);
  if (fencing == nullptr) return {};
  RpcPacket finish = std::move(fencing->finish);
  if (!status) {
    // FINISH was not forwarded: the guest may go on here, and the destination is told to forget it.
    Actions actions = settle_not_run(finish.header, status.error().text());
    actions.push_back(SendNote{{NoteKind::kClosed, status.error().text()}});
    return actions;
  }
  state_ = Finishing{finish.header};
  return {TellMover{MoverNews::kFinishForwarded}, Emit{{.kind = GateEventKind::kFinishSeen}},
          SendToPeer{std::move(finish)}};
}

// Once FINISH was sent nothing but libvirtd's farewell is expected; it needs no destination.
Actions SourceMachine::answer_here(const RpcPacket& packet) {
  const std::int32_t procedure = packet.header.procedure;
  if (procedure == kUnregisterCloseCallback || procedure == kConnectClose) {
    return {SendToLibvirt{make_reply(packet.header, {})}};
  }
  return {SendToLibvirt{refusal(packet.header, kErrOperationFailed,
                                "Drover's gate has already carried this migration's last call.")}};
}

Actions SourceMachine::libvirt_closed() {
  libvirt_gone_ = true;
  if (const auto* settled = std::get_if<Settled>(&state_)) return end(settled->outcome);
  // After FINISH(0) the answer is awaited all the same, for the record.
  if (std::holds_alternative<Finishing>(state_) || in_doubt() || ended()) return {};
  return abort("the source's libvirtd closed the connection");
}

Actions SourceMachine::peer_packet(RpcPacket packet) {
  if (ended() || settled() || in_doubt()) return {};
  const auto* finishing = std::get_if<Finishing>(&state_);
  if (is_connection_closed_event(packet.header)) {
    return finishing != nullptr ? Actions{} : Actions{SendToLibvirt{std::move(packet)}};
  }
  const auto call = is_answer(packet.header) ? pending_.take(packet.header) : std::nullopt;
  if (!call) return road_closed("the destination's gate sent what answers no call");
  if (call->procedure == kMigrateFinish) return finish_answered(*call, std::move(packet));
  Actions actions;
  if (call->procedure == kMigratePrepare && packet.header.status == RpcStatus::kOk) {
    if (auto* relaying = std::get_if<Relaying>(&state_)) relaying->prepare = Prepare::kDone;
    actions.push_back(Emit{{.kind = GateEventKind::kPrepared}});
  }
  actions.insert(actions.begin(), SendToLibvirt{std::move(packet)});
  return actions;
}

Actions SourceMachine::finish_answered(const RpcHeader& call, RpcPacket reply) {
  const bool is_error = reply.header.status == RpcStatus::kError;
  if (std::holds_alternative<Cancelling>(state_)) {
    finish_replied_ = true;
    state_ = Settled{GateOutcome::kAborted};
    GateEvent event{.kind = GateEventKind::kFinishReplied, .ok = !is_error};
    if (is_error) event.error = error_text(reply);
    return {SendToLibvirt{std::move(reply)}, Emit{std::move(event)}};
  }
  if (is_error) {
    const std::string text = error_text(reply);
    finish_replied_ = true;
    Actions actions{Emit{{.kind = GateEventKind::kFinishReplied, .error = text}}};
    return actions += doubt(call, "the destination answered FINISH with an error: " + text);
  }
  const auto answer = decode_finish_reply(reply.payload());
  if (!answer || answer->name != vm_.name || answer->uuid != vm_.uuid) {
    return doubt(call, "the destination answered FINISH for something other than this VM");
  }
  return settle_runs(std::move(reply), answer->domain_id);
}

Actions SourceMachine::peer_note(const Note& note) {
  if (ended() || settled()) return {};
  const std::string why = "the destination says: " + note.text;
  const auto* finishing = std::get_if<Finishing>(&state_);
  const auto* doubting = std::get_if<InDoubt>(&state_);
  if (finishing == nullptr && doubting == nullptr) return abort(why);
  const RpcHeader call = finishing != nullptr ? finishing->call : doubting->call;
  if (note.kind == NoteKind::kRefused) return settle_not_run(call, note.text);
  return finishing != nullptr ? doubt(call, why) : Actions{};
}

Actions SourceMachine::road_closed(const std::string& why) {
  if (ended() || settled() || in_doubt()) return {};
  if (const auto* finishing = std::get_if<Finishing>(&state_)) {
    const RpcHeader call = finishing->call;
    return doubt(call, why);
  }
  return abort(why);
}

Actions SourceMachine::doubt(const RpcHeader& call, const std::string& why) {
  state_ = InDoubt{call};
  return {Emit{{.kind = GateEventKind::kInDoubt, .error = why}}};
}

Actions SourceMachine::settle_runs(RpcPacket reply, std::int32_t domain_id) {
  finish_replied_ = true;
  state_ = Settled{GateOutcome::kRuns};
  GateEvent event{.kind = GateEventKind::kFinishReplied, .ok = true};
  event.domain_id = domain_id;
  Actions actions{RecordSource{SourceState::kReleased}};
  if (!libvirt_gone_) actions.push_back(SendToLibvirt{std::move(reply)});
  actions.push_back(Emit{std::move(event)});
  if (libvirt_gone_) actions += end(GateOutcome::kRuns);
  return actions;
}

Actions SourceMachine::settle_not_run(const RpcHeader& call, const std::string& why) {
  state_ = Settled{GateOutcome::kNotRun};
  const bool first = !std::exchange(finish_replied_, true);
  Actions actions{RecordSource{SourceState::kKept}, LiftFence{}};
  if (!libvirt_gone_) {
    actions.push_back(SendToLibvirt{
        refusal(call, kErrOperationFailed, "The destination does not run this VM: " + why)});
  }
  if (first) actions.push_back(Emit{{.kind = GateEventKind::kFinishReplied, .error = why}});
  if (libvirt_gone_) actions += end(GateOutcome::kNotRun);
  return actions;
}

// FINISH(0) was never forwarded, and after this it never will be: the VM is the source's.
Actions SourceMachine::abort(const std::string& why) {
  Actions actions{RecordSource{SourceState::kKept}};
  std::optional<RpcHeader> waiting = pending_.find(kMigratePrepare);
  if (!waiting) waiting = pending_.find(kMigrateFinish);
  pending_.clear();
  if (waiting && !libvirt_gone_) {
    // libvirtd gets a reason, and then says farewell on the same connection.
    state_ = Settled{GateOutcome::kAborted};
    actions.push_back(SendToLibvirt{
        refusal(*waiting, kErrOperationFailed, "Drover's gate gave the move up: " + why)});
    actions.push_back(SendNote{{NoteKind::kClosed, why}});
    return actions;
  }
  actions.push_back(CloseLibvirt{});
  return actions += end(GateOutcome::kAborted);
}

Actions SourceMachine::end(GateOutcome outcome) {
  state_ = Ended{};
  return {SendNote{{NoteKind::kClosed, ""}}, TellMover{MoverNews::kSettled},
          Emit{{.kind = GateEventKind::kEnded, .outcome = outcome}}, Exit{}};
}

Result<Actions> SourceMachine::standstill() {
  if (ended() || settled()) return wrong_state("announce a standstill", state_name());
  return Actions{TellMover{MoverNews::kStandstill}};
}

Result<Actions> SourceMachine::deliver_runs(std::int32_t domain_id) {
  const auto call = unanswered_finish();
  if (!call) return wrong_state("deliver an answer", state_name());
  FinishReply answer{vm_.name, vm_.uuid, domain_id, ""};
  return settle_runs(make_reply(*call, encode(answer)), domain_id);
}

Result<Actions> SourceMachine::deliver_not_run(const std::string& error) {
  const auto call = unanswered_finish();
  if (!call) return wrong_state("deliver an answer", state_name());
  return settle_not_run(*call, error);
}

std::optional<RpcHeader> SourceMachine::unanswered_finish() const {
  if (const auto* finishing = std::get_if<Finishing>(&state_)) return finishing->call;
  if (const auto* doubting = std::get_if<InDoubt>(&state_)) return doubting->call;
  return std::nullopt;
}

Result<Actions> SourceMachine::stop() {
  if (ended()) return Actions{};
  if (const auto* settled = std::get_if<Settled>(&state_)) {
    const GateOutcome outcome = settled->outcome;
    Actions actions{CloseLibvirt{}};
    return actions += end(outcome);
  }
  if (std::holds_alternative<Finishing>(state_) || in_doubt()) {
    return wrong_state("stop while FINISH has no answer", state_name());
  }
  pending_.clear();
  return abort("droverd stopped the move");
}

std::string_view SourceMachine::state_name() const {
  constexpr std::string_view kNames[] = {"waiting",  "relaying",   "fencing", "finishing",
                                         "in_doubt", "cancelling", "settled", "ended"};
  return kNames[state_.index()];
}

}  // namespace drover::gate
