// SPDX-License-Identifier: Apache-2.0
#include "net/http/http_server.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/log.h"

namespace drover::net {
namespace {

constexpr auto kLinger = std::chrono::milliseconds(300);
constexpr std::size_t kLingerBytesMax = 256 * 1024;

// An answer given before its request was read whole would be lost: closing with bytes unread resets
// the connection. So we only say that nothing more comes, and let the other side finish its
// sentence.
void linger(int socket) {
  ::shutdown(socket, SHUT_WR);
  const Deadline limit = Deadline::after(kLinger);
  char ignored[4096];
  for (std::size_t taken = 0; taken < kLingerBytesMax && !limit.expired();) {
    pollfd entry{socket, POLLIN, 0};
    if (::poll(&entry, 1, limit.poll_ms()) <= 0) return;
    const ssize_t n = ::recv(socket, ignored, sizeof ignored, MSG_DONTWAIT);
    if (n <= 0) return;
    taken += static_cast<std::size_t>(n);
  }
}

// How long the acceptor waits for a connection it broke off to be gone.
constexpr std::chrono::milliseconds kEvictWithin{500};

void wake(int fd) {
  const std::uint64_t one = 1;
  // Can only fail when the counter is full, and then the reader wakes anyway.
  static_cast<void>(!::write(fd, &one, sizeof one));
}

void drain(int fd) {
  std::uint64_t count = 0;
  static_cast<void>(!::read(fd, &count, sizeof count));
}

}  // namespace

HttpServer::HttpServer(HttpHandler& handler, const Limits& limits)
    : engine_(handler), limits_(limits) {}

HttpServer::~HttpServer() { stop(); }

void HttpServer::listen_local(UniqueFd listener) {
  listeners_.push_back({std::move(listener), nullptr});
}

void HttpServer::listen_tls(UniqueFd listener, std::shared_ptr<const TlsServerContext> context) {
  listeners_.push_back({std::move(listener), std::move(context)});
}

Status HttpServer::start() {
  wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_) return fail_errno("Cannot create an event descriptor");
  // A client that gives up between poll() and accept() must not make accept() wait.
  for (const auto& listener : listeners_) set_non_blocking(listener.socket.get());
  acceptor_ = std::thread([this] { run(); });
  return {};
}

void HttpServer::stop() {
  if (!acceptor_.joinable()) return;
  stopping_ = true;
  engine_.stop();
  wake(wake_.get());
  acceptor_.join();
}

void HttpServer::run() {
  std::vector<pollfd> polled{{wake_.get(), POLLIN, 0}};
  for (const auto& listener : listeners_) polled.push_back({listener.socket.get(), POLLIN, 0});
  while (!stopping_) {
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) {
      log::error("The API's poll failed (errno {}); it accepts no more connections.", errno);
      break;
    }
    if (polled[0].revents != 0) drain(wake_.get());
    reap(false);
    for (std::size_t i = 0; i < listeners_.size() && !stopping_; ++i) {
      if (polled[i + 1].revents != 0) accept_from(listeners_[i]);
    }
  }
  reap(true);
}

void HttpServer::accept_from(const Listener& listener) {
  UniqueFd socket(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!socket) {
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) return;
    // The listener stays readable: wait a little for descriptors to come free, or for stop().
    pollfd entry{wake_.get(), POLLIN, 0};
    ::poll(&entry, 1, 100);
    return;
  }
  const bool local = listener.context == nullptr;
  if (!make_room(local)) return;  // refused by closing
  Connection& connection = connections_.emplace_back();
  connection.descriptor = socket.get();
  connection.trusted = local;
  try {
    connection.thread = std::thread([this, &connection, context = listener.context,
                                     taken = std::make_shared<UniqueFd>(std::move(socket))] {
      serve(connection, std::move(*taken), context);
      connection.done = true;
      wake(wake_.get());
    });
  } catch (const std::system_error& error) {
    log::warning("No thread for an API connection: {}", error.what());
    connections_.pop_back();
  }
}

// False: the bound holds and nothing can make room.
bool HttpServer::make_room(bool local) {
  std::size_t strangers = 0;
  Connection* oldest = nullptr;
  for (auto& connection : connections_) {
    if (connection.trusted || connection.done || connection.evicted) continue;
    ++strangers;
    if (oldest == nullptr) oldest = &connection;
  }
  const bool full = connections_.size() >= limits_.connections;
  if (!full && (local || strangers < limits_.strangers)) return true;
  if (oldest == nullptr) return false;
  {
    const std::lock_guard lock(mutex_);
    if (oldest->descriptor >= 0) ::shutdown(oldest->descriptor, SHUT_RDWR);
    oldest->evicted = true;
  }
  // Threads that are just ending may go over the bound, but not without limit: then wait a moment
  // for them.
  const std::size_t most = limits_.connections + limits_.strangers;
  const Deadline deadline = Deadline::after(kEvictWithin);
  while (connections_.size() >= most && !deadline.expired() && !stopping_) {
    pollfd entry{wake_.get(), POLLIN, 0};
    if (::poll(&entry, 1, deadline.poll_ms()) > 0) drain(wake_.get());
    reap(false);
  }
  return connections_.size() < most;
}

void HttpServer::reap(bool all) {
  if (all) {
    const std::lock_guard lock(mutex_);
    for (auto& connection : connections_) {
      if (connection.descriptor >= 0) ::shutdown(connection.descriptor, SHUT_RDWR);
    }
  }
  for (auto at = connections_.begin(); at != connections_.end();) {
    if (all || at->done) {
      at->thread.join();
      at = connections_.erase(at);
    } else {
      ++at;
    }
  }
}

void HttpServer::forget_descriptor(Connection& connection) {
  const std::lock_guard lock(mutex_);
  connection.descriptor = -1;
}

void HttpServer::serve(Connection& connection, UniqueFd socket,
                       const std::shared_ptr<const TlsServerContext>& context) {
  // Registered before it is closed anywhere below, so that shutdown never meets a number used anew.
  const int descriptor = socket.get();
  const UniqueFd keeper = socket.duplicate();
  if (!keeper) return forget_descriptor(connection);
  {
    const std::lock_guard lock(mutex_);
    connection.descriptor = keeper.get();
  }
  Origin origin;
  if (context == nullptr) {
    ucred who{};
    socklen_t size = sizeof who;
    if (::getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0) {
      origin.local = true;
      origin.uid = who.uid;
      const auto stream = plain_stream(std::move(socket));
      serve_stream(connection, *stream, origin);
      linger(keeper.get());
    }
    return forget_descriptor(connection);
  }
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  origin.remote = remote_address(descriptor).value_or(Address{});
  origin.here = local_address(descriptor).value_or(Address{});
  const auto stream = context->accept(std::move(socket), Deadline::after(limits_.handshake));
  if (stream) {
    origin.peer_key = (*stream)->peer_key();
    origin.psk_identity = (*stream)->psk_identity();
    if (!origin.psk_identity.empty()) origin.channel_binding = (*stream)->channel_binding();
    serve_stream(connection, **stream, origin);
    linger(keeper.get());
  } else {
    log::debug("No TLS with {}: {}", address_text(origin.remote, 0), stream.error().text());
  }
  forget_descriptor(connection);
}

void HttpServer::serve_stream(Connection& connection, ByteStream& stream, const Origin& origin) {
  try {
    engine_.serve(stream, origin, limits_.requests, connection.trusted);
  } catch (const std::exception& error) {
    log::error("An API connection ended by a fault of droverd: {}", error.what());
  }
}

}  // namespace drover::net
