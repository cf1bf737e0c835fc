// SPDX-License-Identifier: Apache-2.0
#include "mover/gate_channel.h"

#include <nlohmann/json.hpp>
#include <sys/socket.h>

#include "base/log.h"
#include "net/control_message.h"

namespace drover::mover {

using nlohmann::json;
using namespace std::chrono_literals;

GateChannel::GateChannel(UniqueFd socket, std::function<void(Event)> on_event)
    : socket_(std::move(socket)), on_event_(std::move(on_event)) {
  thread_ = std::jthread([this] { read(); });
}

GateChannel::~GateChannel() { stop(); }

void GateChannel::stop() {
  ::shutdown(socket_.get(), SHUT_RDWR);
  if (thread_.joinable()) thread_.join();
}

Result<UniqueFd> GateChannel::open(StreamKind kind, StreamId stream, Deadline deadline) {
  return ask(stream_kind_name(kind), stream, deadline);
}

Result<UniqueFd> GateChannel::open_read_back(Deadline deadline) {
  StreamId number = 0;
  {
    const std::lock_guard lock(mutex_);
    number = next_read_back_++;
  }
  return ask("read-back", number, deadline);
}

Result<UniqueFd> GateChannel::ask(std::string_view kind, StreamId stream, Deadline deadline) {
  const json request{{"do", "open"}, {"kind", kind}, {"stream", stream}};
  {
    const std::lock_guard lock(mutex_);
    answers_[stream].reset();
  }
  const Status sent = net::send_packet(socket_.get(), request.dump(), {}, deadline);
  std::unique_lock lock(mutex_);
  if (sent)
    changed_.wait_until(lock, deadline.at(),
                        [&] { return closed_ || answers_[stream].has_value(); });
  auto answer = std::move(answers_[stream]);
  answers_.erase(stream);
  if (answer) return opened(std::move(*answer));
  if (!sent || closed_) return fail(ErrorCode::kUnavailable, "The gate is gone.");
  return fail(ErrorCode::kTimeout, "The gate did not open the {} stream in time.", kind);
}

Result<UniqueFd> GateChannel::opened(net::Packet packet) {
  ASSIGN_OR_RETURN(json message, net::parse_message(packet.text));
  RETURN_IF_ERROR(net::outcome_of_reply(std::move(message)));
  if (packet.descriptors.size() != 1)
    return fail(ErrorCode::kProtocol, "The gate's answer has no descriptor.");
  return std::move(packet.descriptors[0]);
}

void GateChannel::tell_memory_opened() {
  const json event{{"event", "memory_opened"}};
  if (const Status sent = net::send_packet(socket_.get(), event.dump(), {}, Deadline::after(2s));
      !sent) {
    log::warning("The gate was not told that memory is copied: {}", sent.error().text());
  }
}

void GateChannel::read() {
  while (true) {
    auto packet = net::receive_packet(socket_.get(), Deadline::never());
    if (!packet || !*packet) break;
    take(std::move(**packet));
  }
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

void GateChannel::take(net::Packet packet) {
  const auto message = net::parse_message(packet.text);
  if (!message)
    return log::warning("A message of the gate was dropped: {}", message.error().text());
  if (message->contains("reply")) {
    const auto stream = net::count_member(*message, "stream");
    const std::lock_guard lock(mutex_);
    const auto at = stream ? answers_.find(static_cast<StreamId>(*stream)) : answers_.end();
    if (at != answers_.end()) at->second = std::move(packet);
    changed_.notify_all();
    return;
  }
  const std::string event = net::text_member_or(*message, "event", "").value_or("");
  if (event == "standstill")
    on_event_(Event::kStandstill);
  else if (event == "finish_forwarded")
    on_event_(Event::kFinishForwarded);
  else if (event == "settled")
    on_event_(Event::kSettled);
  else
    log::warning("The gate told '{}', which is unknown here.", event);
}

}  // namespace drover::mover
