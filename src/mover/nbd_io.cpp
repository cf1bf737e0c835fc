// SPDX-License-Identifier: Apache-2.0
#include "mover/nbd_io.h"

#include <array>
#include <cerrno>

#include <poll.h>
#include <sys/socket.h>

#include "base/big_endian.h"
#include "net/unix_socket.h"

namespace drover::mover::nbd {

std::unexpected<Error> broken(const char* what) {
  return fail(ErrorCode::kProtocol, "The hypervisor's NBD server {}.", what);
}

Status send_all(int socket, std::span<const std::uint8_t> bytes, Deadline deadline) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      RETURN_IF_ERROR(net::wait_for(socket, POLLOUT, deadline));
    } else if (errno != EINTR) {
      return fail_errno("Cannot write to the hypervisor's NBD server");
    }
  }
  return {};
}

Status receive_all(int socket, std::span<std::uint8_t> bytes, Deadline deadline) {
  while (!bytes.empty()) {
    const ssize_t n = ::recv(socket, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (n > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    } else if (n == 0) {
      return fail(ErrorCode::kUnavailable, "The hypervisor's NBD server closed the connection.");
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      RETURN_IF_ERROR(net::wait_for(socket, POLLIN, deadline));
    } else if (errno != EINTR) {
      return fail_errno("Cannot read from the hypervisor's NBD server");
    }
  }
  return {};
}

Status take_greeting(int socket, Deadline deadline) {
  std::array<std::uint8_t, 18> hello{};
  RETURN_IF_ERROR(receive_all(socket, hello, deadline));
  if (load_be<std::uint64_t>(&hello[0]) != kServerMagic ||
      load_be<std::uint64_t>(&hello[8]) != kOptionMagic ||
      (load_be<std::uint16_t>(&hello[16]) & kFixedNewstyle) == 0) {
    return broken("does not speak the fixed newstyle protocol");
  }
  return {};
}

}  // namespace drover::mover::nbd
