// SPDX-License-Identifier: Apache-2.0
#include "net/link_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "net/link_preamble.h"

namespace drover::net {
namespace {

constexpr int kUserTimeoutMs = 10'000;  // unacknowledged data
constexpr int kKeepIdleSeconds = 4;     // then two probes, 2 s apart
constexpr int kKeepIntervalSeconds = 2;
constexpr int kKeepProbes = 2;

}  // namespace

void set_link_options(int fd) {
  const auto set = [fd](int level, int name, int value) {
    ::setsockopt(fd, level, name, &value, sizeof value);
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMs);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, kKeepIdleSeconds);
  set(IPPROTO_TCP, TCP_KEEPINTVL, kKeepIntervalSeconds);
  set(IPPROTO_TCP, TCP_KEEPCNT, kKeepProbes);
}

Result<UniqueFd> dial_link(const Address& address, const std::string& move_id, std::uint16_t link,
                           Deadline deadline, const std::string& from) {
  ASSIGN_OR_RETURN(const auto preamble, encode_preamble({move_id, link}));
  ASSIGN_OR_RETURN(UniqueFd fd, dial_tcp(address, deadline, from));
  set_link_options(fd.get());
  // 28 bytes always fit into the buffer of a new connection.
  const ssize_t n = ::send(fd.get(), preamble.data(), preamble.size(), MSG_NOSIGNAL);
  if (n == static_cast<ssize_t>(preamble.size())) return fd;
  return fail_errno(fmt::format("Cannot begin a link to {}", address_text(address, 0)));
}

}  // namespace drover::net
