// SPDX-License-Identifier: Apache-2.0
#include "gate/gate_process.h"

#include <utility>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "net/child_process.h"
#include "net/control_message.h"
#include "net/unix_socket.h"

namespace drover::gate {
namespace {

using nlohmann::json;

net::ControlClient::EventHandler translate(std::function<void(const GateEvent&)> on_event) {
  return [on_event = std::move(on_event)](const json& message) {
    auto event = parse_event(message);
    if (!event) return log::warning("An event of a gate was dropped: {}", event.error().text());
    if (on_event) on_event(*event);
  };
}

Result<std::optional<Outcome>> outcome_of(const json& reply) {
  const auto at = reply.find("outcome");
  if (at == reply.end() || !at->is_object()) return std::nullopt;
  Outcome outcome;
  ASSIGN_OR_RETURN(outcome.ok, net::flag_member(*at, "ok"));
  ASSIGN_OR_RETURN(outcome.error, net::text_member_or(*at, "error", ""));
  if (outcome.ok && at->contains("domain_id")) {
    ASSIGN_OR_RETURN(const std::uint64_t id, net::count_member(*at, "domain_id"));
    outcome.domain_id = static_cast<std::int32_t>(id);
  }
  return outcome;
}

Result<Decision> decision_of(const std::string& name) {
  if (name == "accepted") return Decision::kAccepted;
  if (name == "refused") return Decision::kRefused;
  return fail(ErrorCode::kProtocol, "A gate reported the unknown decision '{}'.", name);
}

std::vector<net::NamedFd> named(const GateDescriptors& descriptors) {
  std::vector<net::NamedFd> out;
  const auto add = [&](std::string name, int fd) {
    if (fd >= 0) out.push_back({std::move(name), fd});
  };
  add("control", descriptors.control);
  add("records", descriptors.records);
  add("rpc", descriptors.rpc);
  add("mover", descriptors.mover);
  add("listen", descriptors.listen);
  for (const auto& fence : descriptors.fences) add("fence:" + fence.target, fence.image);
  return out;
}

}  // namespace

GateProcess::GateProcess(UniqueFd channel, Handlers handlers, pid_t pid)
    : pid_(pid),
      client_(std::move(channel), translate(std::move(handlers.on_event)),
              std::move(handlers.on_gone)) {}

Result<std::unique_ptr<GateProcess>> GateProcess::start(const std::filesystem::path& program,
                                                        const GateStart& start,
                                                        const GateDescriptors& descriptors,
                                                        Handlers handlers, Deadline deadline) {
  ASSIGN_OR_RETURN(auto started, net::start_program({program, {}}, json::parse(start_text(start)),
                                                    named(descriptors), deadline));
  return std::unique_ptr<GateProcess>(
      new GateProcess(std::move(started.channel), std::move(handlers), started.pid));
}

Result<std::unique_ptr<GateProcess>> GateProcess::attach(
    const std::filesystem::path& control_socket, Handlers handlers, Deadline deadline) {
  ASSIGN_OR_RETURN(UniqueFd channel,
                   net::connect_unix(control_socket, net::SocketKind::kPackets, deadline));
  return std::unique_ptr<GateProcess>(new GateProcess(std::move(channel), std::move(handlers), 0));
}

Result<GateStatus> GateProcess::status(Deadline deadline) {
  ASSIGN_OR_RETURN(const json reply, client_.call({{"do", "status"}}, {}, deadline));
  GateStatus status;
  ASSIGN_OR_RETURN(status.state, net::text_member(reply, "state"));
  ASSIGN_OR_RETURN(status.record, net::text_member(reply, "record"));
  if (reply.contains("decision") && reply["decision"].is_string()) {
    ASSIGN_OR_RETURN(status.decision, decision_of(reply["decision"].get<std::string>()));
  }
  ASSIGN_OR_RETURN(status.finish_seen, net::flag_member(reply, "finish_seen"));
  ASSIGN_OR_RETURN(status.finish_cancelled, net::flag_member(reply, "finish_cancelled"));
  ASSIGN_OR_RETURN(status.finish_replied, net::flag_member(reply, "finish_replied"));
  ASSIGN_OR_RETURN(status.outcome, outcome_of(reply));
  ASSIGN_OR_RETURN(status.libvirt_connected, net::flag_member(reply, "libvirt_connected"));
  ASSIGN_OR_RETURN(status.peer_connected, net::flag_member(reply, "peer_connected"));
  ASSIGN_OR_RETURN(status.in_doubt, net::flag_member(reply, "in_doubt"));
  if (reply.contains("held_ms")) {
    ASSIGN_OR_RETURN(const std::uint64_t held, net::count_member(reply, "held_ms"));
    status.held = std::chrono::milliseconds(static_cast<std::int64_t>(held));
  }
  return status;
}

Result<Decision> GateProcess::refuse(Deadline deadline) {
  ASSIGN_OR_RETURN(const json reply, client_.call({{"do", "refuse"}}, {}, deadline));
  ASSIGN_OR_RETURN(const std::string decision, net::text_member(reply, "decision"));
  return decision_of(decision);
}

Status GateProcess::deliver_runs(std::int32_t domain_id, Deadline deadline) {
  RETURN_IF_ERROR(client_.call({{"do", "deliver"}, {"outcome", "runs"}, {"domain_id", domain_id}},
                               {}, deadline));
  return {};
}

Status GateProcess::deliver_not_run(const std::string& error, Deadline deadline) {
  RETURN_IF_ERROR(
      client_.call({{"do", "deliver"}, {"outcome", "not_run"}, {"error", error}}, {}, deadline));
  return {};
}

Status GateProcess::standstill(Deadline deadline) {
  RETURN_IF_ERROR(client_.call({{"do", "standstill"}}, {}, deadline));
  return {};
}

Status GateProcess::stop(Deadline deadline) {
  RETURN_IF_ERROR(client_.call({{"do", "stop"}}, {}, deadline));
  return {};
}

}  // namespace drover::gate
