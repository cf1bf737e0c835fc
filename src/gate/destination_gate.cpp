// SPDX-License-Identifier: Apache-2.0
#include "gate/destination_gate.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "gate/call_policy.h"
#include "net/control_message.h"
#include "net/unix_socket.h"

namespace drover::gate {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr auto kFirstPacketPatience = 30min;
constexpr auto kLingerPatience = 10min;  // the outcome is in the record as well
constexpr auto kLibvirtPatience = 5s;
constexpr auto kOpenPatience = 10s;  // QEMU creates its sockets while PREPARE is answered
constexpr auto kOpenPause = 20ms;
constexpr std::size_t kWishesMax = 64;  // of one kind; multifd has at most a few

DestinationMachine::Checks checks_for(const Policy& policy, PathChecker check_path) {
  return {[policy, check_path](const PrepareCall& call) {
            return check_prepare(call, policy, check_path);
          },
          [policy, check_path](const FinishCall& call) {
            return check_finish(call, policy, check_path);
          }};
}

json outcome_json(const Outcome& outcome) {
  json reply{{"ok", outcome.ok}, {"error", outcome.error}};
  if (outcome.domain_id >= 0) reply["domain_id"] = outcome.domain_id;
  return reply;
}

}  // namespace

Result<std::unique_ptr<DestinationGate>> DestinationGate::create(GateStart start,
                                                                 RecordFolder records, UniqueFd rpc,
                                                                 UniqueFd mover,
                                                                 PathChecker check_path) {
  ASSIGN_OR_RETURN(const DestinationRecord record, records.destination(start.key()));
  if (record.decision) {
    return fail(ErrorCode::kConflict,
                "The gate of VM {} cannot start: the destination's record says '{}'.",
                start.vm_name, decision_name(*record.decision));
  }
  return std::unique_ptr<DestinationGate>(new DestinationGate(std::move(start), std::move(records),
                                                              std::move(rpc), std::move(mover),
                                                              std::move(check_path)));
}

DestinationGate::DestinationGate(GateStart start, RecordFolder records, UniqueFd rpc,
                                 UniqueFd mover, PathChecker check_path)
    : GateShell(std::move(start), std::move(records), std::move(rpc), std::move(mover)),
      machine_(start_.policy.host, checks_for(start_.policy, std::move(check_path)),
               start_.watch ? start_.move : ""),
      memory_{"memory", start_.memory_socket, {}},
      disks_{"disks", start_.disks_socket, {}},
      read_back_{"read-back", start_.disks_socket, {}},
      patience_(Deadline::after(kFirstPacketPatience)) {}

Actions DestinationGate::on_libvirt_packet(RpcPacket packet) {
  const bool held = machine_.watching();
  Actions actions = machine_.libvirt_packet(std::move(packet));
  if (!held && machine_.watching()) held_since_ = std::chrono::steady_clock::now();
  if (held && !machine_.watching()) {
    held_ = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                                  held_since_);
    log::info("Move {}, destination: {} was held for {} ms, for its writes to be watched.",
              start_.move, start_.vm_name, held_.count());
  }
  return actions;
}

Actions DestinationGate::on_libvirt_closed(const std::string& why) {
  return machine_.libvirt_closed(why);
}

Actions DestinationGate::on_peer(Envelope envelope) {
  if (auto* packet = std::get_if<RpcPacket>(&envelope)) {
    if (!was_lingering_) patience_ = Deadline::never();
    return machine_.peer_packet(std::move(*packet));
  }
  return machine_.peer_note(std::get<Note>(envelope));
}

Actions DestinationGate::on_road_closed(const std::string& why) {
  return machine_.road_closed(why);
}

void DestinationGate::on_mover_message(const json& message) {
  if (net::text_member_or(message, "do", "").value_or("") != "open") return;
  const auto stream = net::count_member(message, "stream");
  const std::string kind = net::text_member_or(message, "kind", "").value_or("");
  if (!stream) return log::warning("The mover asked for a stream without a number.");
  Wishes* wishes = nullptr;
  for (Wishes* known : {&memory_, &disks_, &read_back_}) {
    if (known->kind == kind) wishes = known;
  }
  if (wishes == nullptr || wishes->path.empty()) {
    return answer_wish(*stream, fail(ErrorCode::kProtocol, "There is no stream kind '{}'.", kind));
  }
  if (const Status allowed = machine_.may_open_streams(); !allowed) {
    return answer_wish(*stream, std::unexpected(allowed.error()));
  }
  if (wishes->waiting.size() >= kWishesMax) {
    return answer_wish(*stream, fail(ErrorCode::kConflict, "Too many streams wait for QEMU."));
  }
  wishes->waiting.push_back({*stream, Deadline::after(kOpenPatience), Deadline::after(0ms)});
}

// Only the first wish of a kind is tried. Each connection is meant: QEMU takes none for a trial.
void DestinationGate::grant(Wishes& wishes) {
  while (!wishes.waiting.empty() && wishes.waiting.front().next_try.expired()) {
    Wish& wish = wishes.waiting.front();
    auto socket = net::connect_unix(wishes.path, net::SocketKind::kStream, Deadline::after(1ms));
    if (!socket && !wish.deadline.expired() && machine_.may_open_streams()) {
      wish.next_try = Deadline::after(kOpenPause);
      return;
    }
    answer_wish(wish.stream, socket);
    wishes.waiting.pop_front();
  }
}

void DestinationGate::answer_wish(std::uint64_t stream, const Result<UniqueFd>& socket) {
  json reply{{"reply", "open"}, {"stream", stream}, {"ok", socket.has_value()}};
  if (!socket) {
    reply["error"] = socket.error().text();
    log::warning("Move {}, destination: stream {} was not opened: {}", start_.move, stream,
                 socket.error().text());
  }
  send_to_mover(reply, socket ? socket->get() : -1);
}

Deadline DestinationGate::on_tick() {
  grant(memory_);
  grant(disks_);
  grant(read_back_);
  if (machine_.lingering() && !was_lingering_) {
    was_lingering_ = true;
    patience_ = Deadline::after(kLingerPatience);
  }
  if (patience_.expired()) {
    patience_ = Deadline::never();
    if (auto actions = machine_.stop()) carry_out(std::move(*actions));
    return Deadline::after(0ms);
  }
  const bool waiting =
      !memory_.waiting.empty() || !disks_.waiting.empty() || !read_back_.waiting.empty();
  return waiting ? Deadline::after(kOpenPause) : patience_;
}

Status DestinationGate::connect_to_libvirt() {
  ASSIGN_OR_RETURN(UniqueFd socket,
                   net::connect_unix(start_.libvirt_socket, net::SocketKind::kStream,
                                     Deadline::after(kLibvirtPatience)));
  connect_libvirt(std::move(socket));
  return {};
}

Actions DestinationGate::on_own_action(const Action& action) {
  if (std::holds_alternative<ConnectLibvirt>(action)) {
    return machine_.libvirt_connected(connect_to_libvirt());
  }
  if (const auto* wanted = std::get_if<Decide>(&action)) {
    const auto decision = records_.decide(start_.key(), wanted->wanted);
    if (!decision) {
      log::error("Move {}, destination, VM {}: the decision '{}' was not recorded: {}", start_.move,
                 start_.vm_name, decision_name(wanted->wanted), decision.error().text());
    }
    return machine_.decided(decision);
  }
  if (const auto* record = std::get_if<RecordOutcome>(&action)) {
    if (const auto status = records_.set_outcome(start_.key(), record->outcome); !status) {
      log::error("Move {}, destination, VM {}: libvirtd's answer was not recorded: {}", start_.move,
                 start_.vm_name, status.error().text());
    }
  }
  return {};
}

Result<json> DestinationGate::status() const {
  json reply = common_status();
  reply["state"] = machine_.state_name();
  const auto record = records_.destination(start_.key());
  reply["record"] = record ? "reserved" : "";
  reply["decision"] = nullptr;
  if (record && record->decision) reply["decision"] = decision_name(*record->decision);
  reply["finish_seen"] = machine_.finish_seen();
  reply["finish_cancelled"] = machine_.finish_cancelled();
  reply["finish_replied"] = machine_.finish_replied();
  reply["in_doubt"] = machine_.in_doubt();
  reply["held_ms"] = held_.count();
  const auto outcome = records_.outcome(start_.key());
  if (outcome && *outcome) reply["outcome"] = outcome_json(**outcome);
  return reply;
}

Result<json> DestinationGate::refuse() {
  carry_out(machine_.refuse());
  // Whatever state the machine is in, the record has the last word.
  ASSIGN_OR_RETURN(const Decision decision, records_.decide(start_.key(), Decision::kRefused));
  return json{{"decision", decision_name(decision)}};
}

Result<json> DestinationGate::on_command(const std::string& verb, const json&) {
  if (verb == "status") return status();
  if (verb == "refuse") return refuse();
  if (verb != "stop") {
    return fail(ErrorCode::kInvalidArgument, "The destination's gate knows no command '{}'.", verb);
  }
  ASSIGN_OR_RETURN(Actions actions, machine_.stop());
  carry_out(std::move(actions));
  return json::object();
}

}  // namespace drover::gate
