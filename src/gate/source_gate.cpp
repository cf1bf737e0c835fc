// SPDX-License-Identifier: Apache-2.0
#include "gate/source_gate.h"

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "net/control_message.h"
#include "net/unix_socket.h"

namespace drover::gate {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr auto kConnectPatience = 30min;  // preparing a destination's disks may take long
constexpr auto kFarewellPatience = 60s;   // libvirtd ends its QEMU before it closes the connection

}  // namespace

Result<std::unique_ptr<SourceGate>> SourceGate::create(GateStart start, RecordFolder records,
                                                       UniqueFd rpc, UniqueFd mover,
                                                       UniqueFd listener, Fence fence) {
  ASSIGN_OR_RETURN(const RawUuid uuid, parse_uuid(start.vm_uuid));
  ASSIGN_OR_RETURN(const SourceRecord record, records.source(start.key()));
  if (record.state != SourceState::kHeld) {
    return fail(ErrorCode::kConflict,
                "The gate of VM {} cannot start: the source's record says '{}', not 'held'.",
                start.vm_name, source_state_name(record.state));
  }
  return std::unique_ptr<SourceGate>(new SourceGate(std::move(start), std::move(records),
                                                    std::move(rpc), std::move(mover),
                                                    std::move(listener), std::move(fence), uuid));
}

SourceGate::SourceGate(GateStart start, RecordFolder records, UniqueFd rpc, UniqueFd mover,
                       UniqueFd listener, Fence fence, RawUuid uuid)
    : GateShell(std::move(start), std::move(records), std::move(rpc), std::move(mover)),
      machine_({start_.vm_name, uuid}),
      listener_(std::move(listener)),
      fence_(std::move(fence)),
      patience_(Deadline::after(kConnectPatience)) {}

Actions SourceGate::on_libvirt_packet(RpcPacket packet) {
  return machine_.libvirt_packet(std::move(packet));
}

Actions SourceGate::on_libvirt_closed(const std::string& why) {
  log::info("Move {}: the source's libvirtd left: {}", start_.move, why);
  return machine_.libvirt_closed();
}

Actions SourceGate::on_peer(Envelope envelope) {
  if (auto* packet = std::get_if<RpcPacket>(&envelope)) {
    return machine_.peer_packet(std::move(*packet));
  }
  return machine_.peer_note(std::get<Note>(envelope));
}

Actions SourceGate::on_road_closed(const std::string& why) { return machine_.road_closed(why); }

void SourceGate::on_mover_message(const json& message) {
  if (net::text_member_or(message, "event", "").value_or("") == "memory_opened") {
    carry_out(machine_.memory_opened());
  }
}

void SourceGate::on_extra() {
  auto connection = net::accept_one(listener_.get(), Deadline::after(0ms));
  if (!connection) return;
  // One migration is one connection.
  listener_.reset();
  patience_ = Deadline::never();
  connect_libvirt(std::move(*connection));
  carry_out(machine_.libvirt_connected());
}

Deadline SourceGate::on_tick() {
  if (machine_.settled() && !was_settled_) {
    was_settled_ = true;
    patience_ = Deadline::after(kFarewellPatience);
  }
  if (patience_.expired()) {
    patience_ = Deadline::never();
    log::warning("Move {}: the source's libvirtd is waited for no longer.", start_.move);
    if (auto actions = machine_.stop()) carry_out(std::move(*actions));
    return Deadline::after(0ms);
  }
  return patience_;
}

Actions SourceGate::on_own_action(const Action& action) {
  if (std::holds_alternative<RecordSwitching>(action)) {
    return machine_.switching_recorded(records_.set_source(start_.key(), SourceState::kSwitching));
  }
  if (std::holds_alternative<TakeFence>(action)) return machine_.fence_taken(fence_.take());
  Status status;
  if (std::holds_alternative<LiftFence>(action)) status = fence_.lift();
  if (const auto* record = std::get_if<RecordSource>(&action)) {
    status = records_.set_source(start_.key(), record->state);
  }
  if (!status) {
    log::error("Move {}, source, VM {}: {}", start_.move, start_.vm_name, status.error().text());
  }
  return {};
}

Result<json> SourceGate::status() const {
  json reply = common_status();
  reply["state"] = machine_.state_name();
  const auto record = records_.source(start_.key());
  reply["record"] = record ? source_state_name(record->state) : "";
  reply["decision"] = nullptr;
  reply["finish_seen"] = machine_.finish_seen();
  reply["finish_cancelled"] = machine_.finish_cancelled();
  reply["finish_replied"] = machine_.finish_replied();
  reply["in_doubt"] = machine_.in_doubt();
  return reply;
}

Result<json> SourceGate::on_command(const std::string& verb, const json& command) {
  Result<Actions> actions = Actions{};
  if (verb == "status") return status();
  if (verb == "standstill") {
    actions = machine_.standstill();
  } else if (verb == "stop") {
    actions = machine_.stop();
  } else if (verb == "deliver") {
    ASSIGN_OR_RETURN(const std::string outcome, net::text_member(command, "outcome"));
    if (outcome == "runs") {
      ASSIGN_OR_RETURN(const std::uint64_t id, net::count_member(command, "domain_id"));
      actions = machine_.deliver_runs(static_cast<std::int32_t>(id));
    } else if (outcome == "not_run") {
      ASSIGN_OR_RETURN(const std::string error, net::text_member(command, "error"));
      actions = machine_.deliver_not_run(error);
    } else {
      return fail(ErrorCode::kInvalidArgument, "A gate cannot deliver the outcome '{}'.", outcome);
    }
  } else {
    return fail(ErrorCode::kInvalidArgument, "The source's gate knows no command '{}'.", verb);
  }
  RETURN_IF_ERROR(actions);
  carry_out(std::move(*actions));
  return json::object();
}

}  // namespace drover::gate
