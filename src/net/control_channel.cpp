// SPDX-License-Identifier: Apache-2.0
#include "net/control_channel.h"

#include <array>

#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/log.h"
#include "net/control_message.h"
#include "net/unix_socket.h"

namespace drover::net {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr auto kReplyPatience =
    2s;  // a daemon that does not take a reply for so long is disconnected

std::string dump(const json& message) {
  return message.dump(-1, ' ', false, json::error_handler_t::replace);
}

UniqueFd make_wake() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  DROVER_CHECK(fd.valid());
  return fd;
}

void wake_up(int fd) { ::eventfd_write(fd, 1); }

// kTimeout at once when the socket's buffer is full.
Status send_now(int fd, const json& message, std::chrono::milliseconds patience) {
  const std::string text = dump(message);
  if (text.size() > kPacketBytesMax)
    return fail(ErrorCode::kInternal, "A control message is too large.");
  return send_packet(fd, text, {}, Deadline::after(patience));
}

}  // namespace

ControlServer::ControlServer(UniqueFd first, UniqueFd listener, Handler handler)
    : listener_(std::move(listener)), handler_(std::move(handler)), wake_(make_wake()) {
  if (first) connection_ = std::make_shared<UniqueFd>(std::move(first));
  thread_ = std::jthread([this] { serve(); });
}

ControlServer::~ControlServer() { stop(); }

void ControlServer::stop() {
  wake_up(wake_.get());
  if (thread_.joinable()) thread_.join();
}

void ControlServer::send_event(const json& event) {
  std::shared_ptr<UniqueFd> connection;
  {
    const std::lock_guard lock(mutex_);
    connection = connection_;
  }
  if (connection && !send_now(connection->get(), event, 0ms)) drop(connection);
}

void ControlServer::serve() {
  while (true) {
    std::shared_ptr<UniqueFd> connection;
    {
      const std::lock_guard lock(mutex_);
      connection = connection_;
    }
    std::array<pollfd, 3> entries{pollfd{wake_.get(), POLLIN, 0},
                                  pollfd{listener_.get(), POLLIN, 0},
                                  pollfd{connection ? connection->get() : -1, POLLIN, 0}};
    if (::poll(entries.data(), entries.size(), -1) < 0) continue;
    if (entries[2].revents != 0) serve_packet(connection);
    if (entries[0].revents != 0) return;
    if (entries[1].revents != 0) take_connection();
  }
}

void ControlServer::take_connection() {
  auto accepted = accept_one(listener_.get(), Deadline::after(0ms));
  if (!accepted) return;
  const std::lock_guard lock(mutex_);
  if (connection_) ::shutdown(connection_->get(), SHUT_RDWR);
  connection_ = std::make_shared<UniqueFd>(std::move(*accepted));
}

void ControlServer::serve_packet(const std::shared_ptr<UniqueFd>& connection) {
  auto packet = receive_packet(connection->get(), Deadline::after(0ms));
  if (!packet && packet.error().code == ErrorCode::kTimeout) return;
  if (!packet || !*packet) return drop(connection);
  auto command = parse_message((*packet)->text);
  if (!command) return drop(connection);
  Result<json> outcome = json::object();
  if (auto verb = text_member(*command, "do"); !verb) {
    outcome = std::unexpected(verb.error());
  } else {
    outcome = handler_(*command, std::move((*packet)->descriptors));
  }
  if (!send_now(connection->get(), reply_message(*command, outcome), kReplyPatience))
    drop(connection);
}

// Shutdown, not close: another thread may be sending an event on it.
void ControlServer::drop(const std::shared_ptr<UniqueFd>& connection) {
  ::shutdown(connection->get(), SHUT_RDWR);
  const std::lock_guard lock(mutex_);
  if (connection_ == connection) connection_.reset();
}

ControlClient::ControlClient(UniqueFd channel, EventHandler on_event, ClosedHandler on_closed)
    : channel_(std::move(channel)),
      on_event_(std::move(on_event)),
      on_closed_(std::move(on_closed)),
      wake_(make_wake()) {
  thread_ = std::jthread([this] { read(); });
}

ControlClient::~ControlClient() {
  wake_up(wake_.get());
  thread_.join();
}

Result<std::unique_ptr<ControlClient>> ControlClient::connect(const std::filesystem::path& socket,
                                                              EventHandler on_event,
                                                              ClosedHandler on_closed,
                                                              Deadline deadline) {
  ASSIGN_OR_RETURN(UniqueFd channel, connect_unix(socket, SocketKind::kPackets, deadline));
  return std::make_unique<ControlClient>(std::move(channel), std::move(on_event),
                                         std::move(on_closed));
}

Result<json> ControlClient::call(json command, std::span<const int> descriptors,
                                 Deadline deadline) {
  std::uint64_t seq = 0;
  {
    const std::lock_guard lock(mutex_);
    seq = ++last_seq_;
    replies_[seq];
  }
  command["seq"] = seq;
  const std::string text = dump(command);
  Status sent = text.size() <= kPacketBytesMax
                    ? send_packet(channel_.get(), text, descriptors, deadline)
                    : fail(ErrorCode::kInvalidArgument,
                           "A control message is larger than {} bytes.", kPacketBytesMax);
  std::unique_lock lock(mutex_);
  const auto answered = [&] { return closed_ || !replies_[seq].empty(); };
  if (sent) {
    if (deadline.is_never())
      changed_.wait(lock, answered);
    else
      changed_.wait_until(lock, deadline.at(), answered);
  }
  const std::string reply = std::move(replies_[seq]);
  replies_.erase(seq);
  if (!reply.empty()) {
    ASSIGN_OR_RETURN(json message, parse_message(reply));
    return outcome_of_reply(std::move(message));
  }
  const std::string verb = text_member_or(command, "do", "?").value_or("?");
  if (closed_ || (!sent && sent.error().code != ErrorCode::kTimeout &&
                  sent.error().code != ErrorCode::kInvalidArgument)) {
    return fail(ErrorCode::kUnavailable, "The program is gone; the command '{}' has no answer.",
                verb);
  }
  if (!sent) return std::unexpected(sent.error());
  return fail(ErrorCode::kTimeout, "The program did not answer the command '{}' in time.", verb);
}

void ControlClient::read() {
  while (true) {
    std::array<pollfd, 2> entries{pollfd{wake_.get(), POLLIN, 0},
                                  pollfd{channel_.get(), POLLIN, 0}};
    if (::poll(entries.data(), entries.size(), -1) < 0) continue;
    if (entries[0].revents != 0) return;
    auto packet = receive_packet(channel_.get(), Deadline::after(0ms));
    if (!packet && packet.error().code == ErrorCode::kTimeout) continue;
    if (!packet || !*packet) break;
    take_packet((*packet)->text);
  }
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  if (on_closed_) on_closed_();
}

void ControlClient::take_packet(std::string_view text) {
  auto message = parse_message(text);
  if (!message) return log::warning("A control message was dropped: {}", message.error().text());
  if (message->contains("event")) {
    if (on_event_) on_event_(*message);
    return;
  }
  const auto seq = count_member(*message, "seq");
  const std::lock_guard lock(mutex_);
  // A reply that came after its deadline is awaited by nobody.
  if (const auto at = seq ? replies_.find(*seq) : replies_.end(); at != replies_.end()) {
    at->second = std::string(text);
    changed_.notify_all();
  }
}

}  // namespace drover::net
