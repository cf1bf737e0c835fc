// SPDX-License-Identifier: Apache-2.0
#include "gate/stream_port.h"

#include <cerrno>

#include <poll.h>
#include <sys/socket.h>

namespace drover::gate {

short StreamPort::wanted_events(bool read) const {
  const int wanted = (read && !closing_ ? POLLIN : 0) | (idle() ? 0 : POLLOUT);
  return static_cast<short>(wanted);
}

StreamPort::ReadEnd StreamPort::read(std::span<const std::uint8_t>& out) {
  buffer_.resize(kReadBytes);
  ssize_t n = 0;
  do {
    n = ::recv(socket_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && errno == EAGAIN) return ReadEnd::kNothingYet;
  if (n <= 0) return ReadEnd::kClosed;
  out = std::span(buffer_).first(static_cast<std::size_t>(n));
  return ReadEnd::kMore;
}

void StreamPort::queue(std::span<const std::uint8_t> bytes) {
  if (!is_open() || closing_) return;
  queue_.insert(queue_.end(), bytes.begin(), bytes.end());
  flush();
}

void StreamPort::flush() {
  while (is_open() && !idle()) {
    const ssize_t n = ::send(socket_.get(), queue_.data() + begin_, queue_.size() - begin_,
                             MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) begin_ = queue_.size();  // the reader will see the end of the connection
    if (n > 0) begin_ += static_cast<std::size_t>(n);
  }
  queue_.clear();
  begin_ = 0;
  if (closing_) close();
}

void StreamPort::close_when_written() {
  closing_ = true;
  flush();
}

void StreamPort::close() {
  socket_.reset();
  queue_.clear();
  begin_ = 0;
}

}  // namespace drover::gate
