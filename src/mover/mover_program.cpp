// SPDX-License-Identifier: Apache-2.0
#include "mover/mover_program.h"

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "mover/content_members.h"
#include "mover/limits.h"
#include "mover/read_back.h"
#include "mover/sandbox.h"
#include "net/control_message.h"

namespace drover::mover {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr auto kStartPatience = 10s;
constexpr auto kOpenPatience = 10s;
constexpr std::chrono::milliseconds kHoldMost = 10min;
constexpr std::chrono::milliseconds kPassMost = std::chrono::hours(24);  // a window's length

}  // namespace

MoverProgram::MoverProgram(MoverStart start, UniqueFd channel) : role_(start.options.role) {
  control_ = std::make_unique<net::ControlServer>(
      std::move(channel), std::move(start.control),
      [this](const json& command, std::vector<UniqueFd> descriptors) {
        started_.wait();
        return obey(command, std::move(descriptors));
      });
  gate_ = std::make_unique<GateChannel>(std::move(start.gate), [this](GateChannel::Event event) {
    started_.wait();
    on_gate_event(event);
  });
  const StreamOpener opener = [this](StreamKind kind, StreamId stream) {
    return gate_->open(kind, stream, Deadline::after(kOpenPatience));
  };
  std::shared_ptr<ReadBack> disks;
  if (role_ == Role::kDestination) {
    std::unique_ptr<ImageNames> images;
    if (!start.images.empty() && start.options.content && start.options.references)
      images = std::make_unique<ImageNames>(content_key(*start.key), std::move(start.images));
    disks = std::make_shared<ReadBack>(
        [this] { return gate_->open_read_back(Deadline::after(kReadBackPatience)); },
        std::move(images));
  }
  std::shared_ptr<content::WriteRecord> writes;
  if (start.writes) writes = std::make_shared<content::WriteRecord>(std::move(start.writes));
  session_ = std::make_unique<Session>(start.options, std::move(start.key), session_events(),
                                       opener, std::move(disks), std::move(writes));
  session_->start_rpc(std::move(start.rpc));
  if (role_ == Role::kSource) {
    acceptor_ = std::make_unique<StreamAcceptor>(std::move(start.memory), std::move(start.disks),
                                                 [this](StreamKind kind, UniqueFd local) {
                                                   started_.wait();
                                                   take_stream(kind, std::move(local));
                                                 });
  }
  started_.count_down();
}

MoverProgram::~MoverProgram() {
  // First whoever calls the session, then the session, then what it calls.
  control_->stop();
  gate_->stop();
  acceptor_.reset();
  session_.reset();
}

void MoverProgram::run() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return ended_; });
}

// A memory stream that is not opened has not begun for anybody: the gate writes nothing down, and
// QEMU waits once the socket is full.
void MoverProgram::take_stream(StreamKind kind, UniqueFd local) {
  const std::lock_guard lock(opening_);
  const bool closed = memory_closes_ && memory_closes_->expired();
  if (kind != StreamKind::kMemory || (!memory_held_ && !closed))
    return open_stream(kind, std::move(local));
  if (waiting_memory_.size() < kStreamsMax) waiting_memory_.push_back(std::move(local));
}

// REQUIRES: opening_ is held.
void MoverProgram::open_stream(StreamKind kind, UniqueFd local) {
  if (const Status opened = session_->open_stream(kind, std::move(local)); !opened) {
    log::warning("A {} connection was refused: {}", stream_kind_name(kind), opened.error().text());
  }
}

void MoverProgram::hold_memory(bool held, std::optional<std::chrono::milliseconds> closes_after) {
  const std::lock_guard lock(opening_);
  memory_held_ = held;
  memory_closes_.reset();
  if (!held && closes_after) {
    memory_closes_ = Deadline::after(*closes_after);
    session_->pass(StreamKind::kMemory, *closes_after);
  } else {
    session_->hold(StreamKind::kMemory, held ? kHoldForEver : 0ms);
  }
  if (held) return;
  for (UniqueFd& local : std::exchange(waiting_memory_, {}))
    open_stream(StreamKind::kMemory, std::move(local));
}

SessionEvents MoverProgram::session_events() {
  SessionEvents events;
  events.link_up = [this](std::uint32_t link) {
    log::info("Link {} is up.", link);
    control_->send_event({{"event", "link_up"}, {"link", link}});
  };
  events.link_lost = [this](std::uint32_t link, const Error& error) {
    log::warning("Link {} is lost: {}", link, error.text());
    control_->send_event({{"event", "link_lost"}, {"link", link}, {"error", error.text()}});
  };
  events.stream_opened = [this](StreamKind kind) { on_stream_opened(kind); };
  events.ended = [this](SessionEnd how, const Error& why) { on_ended(how, why); };
  return events;
}

void MoverProgram::on_stream_opened(StreamKind kind) {
  log::info("A {} stream is open.", stream_kind_name(kind));
  control_->send_event({{"event", "stream_opened"}, {"kind", stream_kind_name(kind)}});
  if (kind != StreamKind::kMemory || role_ != Role::kSource) return;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(memory_told_, true)) return;
  }
  gate_->tell_memory_opened();
}

void MoverProgram::on_gate_event(GateChannel::Event event) {
  switch (event) {
    case GateChannel::Event::kStandstill:
      session_->standstill();
      return hold_memory(false);
    case GateChannel::Event::kFinishForwarded:
      return session_->finish_forwarded();
    case GateChannel::Event::kSettled:
      return session_->settled();
  }
}

void MoverProgram::on_ended(SessionEnd how, const Error& why) {
  if (how == SessionEnd::kGaveUp) {
    log::error("The mover gave up: {}", why.text());
    if (control_) control_->send_event({{"event", "gave_up"}, {"error", why.text()}});
  }
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

Result<json> MoverProgram::obey(const json& command, std::vector<UniqueFd> descriptors) {
  ASSIGN_OR_RETURN(const std::string verb, net::text_member(command, "do"));
  if (verb == "add_link") return add_link(command, std::move(descriptors));
  if (verb == "status") return status();
  if (verb == "set") return set(command);
  if (verb == "stop") {
    session_->stop();
    return json::object();
  }
  return fail(ErrorCode::kInvalidArgument, "The mover knows no command '{}'.", verb);
}

Result<json> MoverProgram::add_link(const json& command, std::vector<UniqueFd> descriptors) {
  ASSIGN_OR_RETURN(const std::uint64_t link, net::count_member(command, "link"));
  if (descriptors.size() != 1)
    return fail(ErrorCode::kInvalidArgument, "add_link needs one descriptor.");
  // Numbers beyond 32 bits are wrong as well; 0 is refused by the session.
  const auto number = link > 0xffff ? 0 : static_cast<std::uint32_t>(link);
  RETURN_IF_ERROR(session_->add_link(number, std::move(descriptors[0])));
  return json::object();
}

Result<json> MoverProgram::set(const json& command) {
  if (command.contains("patience_ms")) {
    ASSIGN_OR_RETURN(const std::uint64_t ms, net::count_member(command, "patience_ms"));
    session_->set_patience(std::chrono::milliseconds(ms));
  }
  if (command.contains("pause_budget_ms")) {
    ASSIGN_OR_RETURN(const std::uint64_t ms, net::count_member(command, "pause_budget_ms"));
    session_->set_pause_budget(std::chrono::milliseconds(ms));
  }
  if (command.contains("bandwidth_bytes_per_second")) {
    ASSIGN_OR_RETURN(const std::uint64_t bandwidth,
                     net::count_member(command, "bandwidth_bytes_per_second"));
    session_->set_bandwidth(bandwidth);
  }
  RETURN_IF_ERROR(set_holds(command));
  return json::object();
}

Status MoverProgram::set_holds(const json& command) {
  const bool memory = command.contains("hold_memory");
  const bool disks = command.contains("hold_disks_ms");
  if ((memory || disks) && role_ != Role::kSource)
    return fail(ErrorCode::kInvalidArgument, "Only the source's mover holds streams.");
  if (memory) {
    const json& held = command["hold_memory"];
    if (!held.is_boolean())
      return fail(ErrorCode::kInvalidArgument, "hold_memory is true or false.");
    std::optional<std::chrono::milliseconds> closes_after;
    if (command.contains("memory_closes_ms")) {
      ASSIGN_OR_RETURN(const std::uint64_t ms, net::count_member(command, "memory_closes_ms"));
      const auto most = static_cast<std::uint64_t>(kPassMost.count());
      closes_after = std::chrono::milliseconds(std::min(ms, most));
    }
    hold_memory(held.get<bool>(), closes_after);
  }
  if (!disks) return {};
  ASSIGN_OR_RETURN(const std::uint64_t ms, net::count_member(command, "hold_disks_ms"));
  const auto most = static_cast<std::uint64_t>(kHoldMost.count());
  session_->hold(StreamKind::kDisks, std::chrono::milliseconds(std::min(ms, most)));
  return {};
}

json MoverProgram::status() {
  const SessionStatus status = session_->status();
  json streams = json::array();
  for (const KindStatus& kind : status.streams) {
    streams.push_back({{"kind", stream_kind_name(kind.kind)},
                       {"opened", kind.opened},
                       {"open", kind.open},
                       {"sent", kind.sent_bytes},
                       {"acknowledged", kind.acknowledged_bytes},
                       {"received", kind.received_bytes}});
  }
  json content = {{"way", status.pack_way}};
  for (const ContentMember& member : kContentMembers) {
    content[member.name] = status.content.*member.count;
  }
  json carried = json::array();
  for (const CarriedBytes& link : status.carried)
    carried.push_back({{"link", link.number}, {"bytes", link.bytes}});
  return {{"links", status.links},
          {"carried", std::move(carried)},
          {"saturated", status.saturated},
          {"content", std::move(content)},
          {"bytes_sent", status.bytes_sent},
          {"bytes_received", status.bytes_received},
          {"streams", std::move(streams)},
          {"last_progress_ms", status.since_progress.count()},
          {"finish_forwarded", status.finish_forwarded}};
}

int run_mover(int channel_fd) {
  UniqueFd channel(channel_fd);
  auto start = [&]() -> Result<MoverStart> {
    ASSIGN_OR_RETURN(auto message,
                     net::receive_start(channel.get(), Deadline::after(kStartPatience)));
    ASSIGN_OR_RETURN(auto read, read_mover_start(std::move(message)));
    RETURN_IF_ERROR(load_tls());
    if (read.sandbox) RETURN_IF_ERROR(enter_sandbox());
    return read;
  }();
  if (!start) {
    log::error("The mover cannot start: {}", start.error().text());
    net::answer_failed(channel.get(), start.error());
    return 1;
  }
  log::info("Move {}: the mover of the {} is ready.", start->move, role_name(start->options.role));
  if (const Status told = net::answer_ready(channel.get(), Deadline::after(kStartPatience));
      !told) {
    log::error("The daemon was not told that the mover is ready: {}", told.error().text());
  }
  MoverProgram program(std::move(*start), std::move(channel));
  program.run();
  return 0;
}

}  // namespace drover::mover
