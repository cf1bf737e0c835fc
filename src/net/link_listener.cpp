// SPDX-License-Identifier: Apache-2.0
#include "net/link_listener.h"

#include <algorithm>
#include <cerrno>
#include <thread>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/deadline.h"
#include "base/log.h"
#include "net/link_socket.h"

namespace drover::net {

using namespace std::chrono_literals;

struct LinkListener::HalfOpen {
  UniqueFd fd;
  Deadline deadline = Deadline::after(kPreambleLimit);
  std::array<std::uint8_t, kPreambleBytes> bytes{};
  std::size_t done = 0;
};

Result<std::unique_ptr<LinkListener>> LinkListener::open(const std::string& address,
                                                         std::uint16_t port, Handler handler) {
  ASSIGN_OR_RETURN(auto listeners, listen_tcp(address, port));
  return std::make_unique<LinkListener>(std::move(listeners), std::move(handler));
}

LinkListener::LinkListener(std::vector<UniqueFd> listeners, Handler handler)
    : listeners_(std::move(listeners)),
      handler_(std::move(handler)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  DROVER_CHECK(wake_.valid() && !listeners_.empty());
  port_ = local_port(listeners_.front().get()).value_or(0);
  thread_ = std::jthread([this] { serve(); });
}

LinkListener::~LinkListener() {
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
}

void LinkListener::serve() {
  while (true) {
    std::vector<pollfd> entries{{wake_.get(), POLLIN, 0}};
    for (const UniqueFd& listener : listeners_) entries.push_back({listener.get(), POLLIN, 0});
    for (const HalfOpen& connection : half_open_)
      entries.push_back({connection.fd.get(), POLLIN, 0});
    // The oldest has the earliest deadline.
    const int wait_ms = half_open_.empty() ? -1 : half_open_.front().deadline.poll_ms();
    if (::poll(entries.data(), entries.size(), wait_ms) < 0) continue;
    if (entries[0].revents != 0) return;
    std::erase_if(half_open_, [&](HalfOpen& connection) {
      return connection.deadline.expired() || !read_preamble(connection);
    });
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
      if (entries[1 + i].revents != 0) accept_from(listeners_[i].get());
    }
  }
}

void LinkListener::accept_from(int listener) {
  UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      log::error("The mover port cannot accept connections: out of descriptors or memory.");
      std::this_thread::sleep_for(100ms);
    }
    return;
  }
  set_link_options(fd.get());
  // Full: the oldest has had the longest time to speak, so it goes.
  if (half_open_.size() >= kHalfOpenMax) half_open_.erase(half_open_.begin());
  half_open_.push_back({.fd = std::move(fd)});
}

bool LinkListener::read_preamble(HalfOpen& connection) {
  const ssize_t n = ::recv(connection.fd.get(), &connection.bytes[connection.done],
                           connection.bytes.size() - connection.done, MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
  if (n == 0) return false;
  connection.done += static_cast<std::size_t>(n);
  if (connection.done < connection.bytes.size()) return true;
  if (auto preamble = decode_preamble(connection.bytes); preamble) {
    handler_(*preamble, std::move(connection.fd));
  } else {
    log::warning("A link was refused: {}", preamble.error().text());
  }
  return false;
}

}  // namespace drover::net
