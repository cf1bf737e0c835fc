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
#include "net/dial.h"
#include "net/link_socket.h"

namespace drover::net {

using namespace std::chrono_literals;

struct LinkListener::HalfOpen {
  UniqueFd fd;
  Deadline deadline = Deadline::after(kPreambleLimit);
  std::array<std::uint8_t, kPreambleBytes> bytes{};
  std::size_t done = 0;
};

LinkListener::LinkListener(UniqueFd listener, Handler handler, Admission admit)
    : listener_(std::move(listener)),
      handler_(std::move(handler)),
      admit_(std::move(admit)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  DROVER_CHECK(wake_.valid() && listener_.valid());
  thread_ = std::jthread([this] { serve(); });
}

LinkListener::~LinkListener() {
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
}

void LinkListener::serve() {
  while (true) {
    std::vector<pollfd> entries{{wake_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    for (const HalfOpen& connection : half_open_)
      entries.push_back({connection.fd.get(), POLLIN, 0});
    // The oldest has the earliest deadline.
    const int wait_ms = half_open_.empty() ? -1 : half_open_.front().deadline.poll_ms();
    if (::poll(entries.data(), entries.size(), wait_ms) < 0) continue;
    if (entries[0].revents != 0) return;
    std::erase_if(half_open_, [&](HalfOpen& connection) {
      return connection.deadline.expired() || !read_preamble(connection);
    });
    if (entries[1].revents != 0) accept_one();
  }
}

void LinkListener::accept_one() {
  UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      log::error("The mover port cannot accept connections: out of descriptors or memory.");
      std::this_thread::sleep_for(100ms);
    }
    return;
  }
  const auto local = admit_ ? local_address(fd.get()) : Address{};
  if (!local || (admit_ && !admit_(local->host))) {
    log::warning("A link came to {}, which is in none of this host's networks; it was closed.",
                 local ? local->host : "an unknown address");
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
