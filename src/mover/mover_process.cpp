// SPDX-License-Identifier: Apache-2.0
#include "mover/mover_process.h"

#include <vector>

#include <nlohmann/json.hpp>

#include "mover/content_members.h"
#include "mover/mover_start.h"
#include "net/child_process.h"
#include "net/control_message.h"

namespace drover::mover {
namespace {

using nlohmann::json;

StreamKind stream_kind_from_name(std::string_view name) {
  for (const StreamKind kind : {StreamKind::kRpc, StreamKind::kMemory, StreamKind::kDisks}) {
    if (stream_kind_name(kind) == name) return kind;
  }
  return StreamKind::kInvalid;
}

Result<KindStatus> read_kind(const json& entry) {
  KindStatus kind;
  ASSIGN_OR_RETURN(const std::string name, net::text_member(entry, "kind"));
  kind.kind = stream_kind_from_name(name);
  ASSIGN_OR_RETURN(kind.opened, net::count_member(entry, "opened"));
  ASSIGN_OR_RETURN(kind.open, net::count_member(entry, "open"));
  ASSIGN_OR_RETURN(kind.sent_bytes, net::count_member(entry, "sent"));
  ASSIGN_OR_RETURN(kind.acknowledged_bytes, net::count_member(entry, "acknowledged"));
  ASSIGN_OR_RETURN(kind.received_bytes, net::count_member(entry, "received"));
  return kind;
}

Result<SessionStatus> read_status(const json& reply) {
  SessionStatus status;
  ASSIGN_OR_RETURN(status.bytes_sent, net::count_member(reply, "bytes_sent"));
  ASSIGN_OR_RETURN(status.bytes_received, net::count_member(reply, "bytes_received"));
  ASSIGN_OR_RETURN(const std::uint64_t progress_ms, net::count_member(reply, "last_progress_ms"));
  status.since_progress = std::chrono::milliseconds(progress_ms);
  ASSIGN_OR_RETURN(status.finish_forwarded, net::flag_member(reply, "finish_forwarded"));
  const json links = reply.value("links", json::array());
  for (const json& link : links) {
    if (link.is_number_unsigned()) status.links.push_back(link.get<std::uint32_t>());
  }
  for (const json& entry : reply.value("carried", json::array())) {
    CarriedBytes link;
    ASSIGN_OR_RETURN(const std::uint64_t number, net::count_member(entry, "link"));
    link.number = static_cast<std::uint32_t>(number);
    ASSIGN_OR_RETURN(link.bytes, net::count_member(entry, "bytes"));
    status.carried.push_back(link);
  }
  status.saturated = reply.value("saturated", false);
  const json streams = reply.value("streams", json::array());
  for (const json& stream : streams) {
    if (!stream.is_object())
      return fail(ErrorCode::kProtocol, "The mover's status has a stream that is none.");
    ASSIGN_OR_RETURN(const KindStatus kind, read_kind(stream));
    status.streams.push_back(kind);
  }
  const json content = reply.value("content", json::object());
  for (const ContentMember& member : kContentMembers) {
    ASSIGN_OR_RETURN(status.content.*member.count, net::count_member_or(content, member.name, 0));
  }
  return status;
}

json start_message(const MoverSettings& settings, const MoverDescriptors& descriptors) {
  return {{"move", settings.move},
          {"role", role_name(settings.role)},
          {"identity", settings.identity},
          {"patience_ms", settings.patience.count()},
          {"pause_budget_ms", settings.pause_budget.count()},
          {"window_bytes", settings.window_bytes},
          {"content", settings.content},
          {"references", settings.references},
          {"memory_waits", settings.memory_waits},
          {"bandwidth_bytes_per_second", settings.bandwidth_bytes_per_second},
          {"link_bytes_per_second", settings.link_bytes_per_second},
          {kHeldMember, descriptors.held.size()},
          {kGroupMember, descriptors.group.size()},
          {kImagesMember, descriptors.images.size()},
          {"sandbox", settings.sandbox}};
}

}  // namespace

net::ControlClient::EventHandler MoverProcess::translate(EventHandler on_event) {
  return [on_event = std::move(on_event)](const json& message) {
    const std::string name = net::text_member_or(message, "event", "").value_or("");
    MoverEvent event;
    event.link = static_cast<std::uint32_t>(net::count_member_or(message, "link", 0).value_or(0));
    event.stream = stream_kind_from_name(net::text_member_or(message, "kind", "").value_or(""));
    event.error = net::text_member_or(message, "error", "").value_or("");
    if (name == "link_up")
      event.kind = MoverEvent::Kind::kLinkUp;
    else if (name == "link_lost")
      event.kind = MoverEvent::Kind::kLinkLost;
    else if (name == "stream_opened")
      event.kind = MoverEvent::Kind::kStreamOpened;
    else if (name == "gave_up")
      event.kind = MoverEvent::Kind::kGaveUp;
    else
      return;
    if (on_event) on_event(event);
  };
}

Result<std::unique_ptr<MoverProcess>> MoverProcess::start(const std::filesystem::path& program,
                                                          const MoverSettings& settings,
                                                          const MoverDescriptors& descriptors,
                                                          EventHandler on_event,
                                                          Deadline deadline) {
  std::vector<net::NamedFd> fds{{"control", descriptors.control},
                                {"psk", descriptors.psk},
                                {"rpc", descriptors.rpc},
                                {"gate", descriptors.gate}};
  if (settings.role == Role::kSource) {
    fds.push_back({"memory", descriptors.memory});
    fds.push_back({"disks", descriptors.disks});
  } else if (descriptors.writes >= 0) {
    fds.push_back({"writes", descriptors.writes});
  }
  for (std::size_t i = 0; i < descriptors.held.size(); ++i) {
    fds.push_back({file_name(kHeldMember, i), descriptors.held[i]});
  }
  for (std::size_t i = 0; i < descriptors.images.size(); ++i) {
    fds.push_back({file_name(kImagesMember, i), descriptors.images[i]});
  }
  for (std::size_t i = 0; i < descriptors.group.size(); ++i) {
    fds.push_back({file_name(kGroupMember, i), descriptors.group[i]});
  }
  if (descriptors.kept >= 0) {
    fds.push_back({kKeptName, descriptors.kept});
    fds.push_back({kKeptKeyName, descriptors.kept_key});
  }
  ASSIGN_OR_RETURN(
      auto started,
      net::start_program({program, {}}, start_message(settings, descriptors), fds, deadline));
  std::unique_ptr<MoverProcess> process(new MoverProcess(started.pid));
  const auto on_gone = [on_event] {
    if (on_event) on_event(MoverEvent{});
  };
  process->client_ = std::make_unique<net::ControlClient>(std::move(started.channel),
                                                          translate(on_event), on_gone);
  return process;
}

Result<std::unique_ptr<MoverProcess>> MoverProcess::attach(const std::filesystem::path& socket,
                                                           EventHandler on_event,
                                                           Deadline deadline) {
  std::unique_ptr<MoverProcess> process(new MoverProcess(-1));
  const auto on_gone = [on_event] {
    if (on_event) on_event(MoverEvent{});
  };
  ASSIGN_OR_RETURN(process->client_,
                   net::ControlClient::connect(socket, translate(on_event), on_gone, deadline));
  return process;
}

Status MoverProcess::add_link(std::uint32_t link, int socket, Deadline deadline) {
  const int fds[] = {socket};
  RETURN_IF_ERROR(client_->call({{"do", "add_link"}, {"link", link}}, fds, deadline));
  return {};
}

Result<SessionStatus> MoverProcess::status(Deadline deadline) {
  ASSIGN_OR_RETURN(const json reply, client_->call({{"do", "status"}}, {}, deadline));
  return read_status(reply);
}

Status MoverProcess::set_patience(std::chrono::milliseconds span, Deadline deadline) {
  RETURN_IF_ERROR(client_->call({{"do", "set"}, {"patience_ms", span.count()}}, {}, deadline));
  return {};
}

Status MoverProcess::set_pause_budget(std::chrono::milliseconds span, Deadline deadline) {
  RETURN_IF_ERROR(client_->call({{"do", "set"}, {"pause_budget_ms", span.count()}}, {}, deadline));
  return {};
}

Status MoverProcess::set_bandwidth(std::uint64_t bytes_per_second, Deadline deadline) {
  RETURN_IF_ERROR(client_->call({{"do", "set"}, {"bandwidth_bytes_per_second", bytes_per_second}},
                                {}, deadline));
  return {};
}

Status MoverProcess::hold_memory(bool held, Deadline deadline) {
  RETURN_IF_ERROR(client_->call({{"do", "set"}, {"hold_memory", held}}, {}, deadline));
  return {};
}

Status MoverProcess::pass_memory(std::chrono::milliseconds span, Deadline deadline) {
  RETURN_IF_ERROR(client_->call(
      {{"do", "set"}, {"hold_memory", false}, {"memory_closes_ms", span.count()}}, {}, deadline));
  return {};
}

Status MoverProcess::hold_disks(std::chrono::milliseconds span, Deadline deadline) {
  RETURN_IF_ERROR(client_->call({{"do", "set"}, {"hold_disks_ms", span.count()}}, {}, deadline));
  return {};
}

Status MoverProcess::stop(Deadline deadline) {
  RETURN_IF_ERROR(client_->call({{"do", "stop"}}, {}, deadline));
  return {};
}

}  // namespace drover::mover
