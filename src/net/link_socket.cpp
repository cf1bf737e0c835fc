// SPDX-License-Identifier: Apache-2.0
#include "net/link_socket.h"

#include <cerrno>
#include <cstring>
#include <memory>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "net/link_preamble.h"
#include "net/unix_socket.h"

namespace drover::net {
namespace {

constexpr int kUserTimeoutMs = 10'000;  // unacknowledged data
constexpr int kKeepIdleSeconds = 4;     // then two probes, 2 s apart
constexpr int kKeepIntervalSeconds = 2;
constexpr int kKeepProbes = 2;
constexpr int kBacklog = 64;  // links wait here while droverd restarts

struct AddressesDeleter {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, AddressesDeleter>;

Result<Addresses> resolve(const std::string& name, std::uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const std::string service = std::to_string(port);
  const int code =
      ::getaddrinfo(name.empty() ? nullptr : name.c_str(), service.c_str(), &hints, &list);
  if (code == 0) return Addresses(list);
  return fail(ErrorCode::kNotFound, "The host name {} cannot be resolved ({}).", name,
              ::gai_strerror(code));
}

std::string endpoint(const std::string& address, std::uint16_t port) {
  const bool v6 = address.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port);
}

std::unexpected<Error> no_answer(const std::string& address, std::uint16_t port,
                                 std::string reason) {
  if (!reason.empty())
    reason[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(reason[0])));
  auto error = fail(ErrorCode::kUnavailable,
                    "{} does not answer ({}). Is droverd running and TCP {} open there?",
                    endpoint(address, port), reason, port);
  error.error().retry = Retry::kLater;
  return error;
}

// 0, or the errno of the attempt.
int try_connect(int fd, const addrinfo& address, Deadline deadline) {
  if (::connect(fd, address.ai_addr, address.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  if (!wait_for(fd, POLLOUT, deadline)) return ETIMEDOUT;
  int reason = 0;
  socklen_t size = sizeof reason;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &size) == 0 ? reason : errno;
}

Result<UniqueFd> listen_at(const addrinfo& address, std::uint16_t port) {
  UniqueFd fd(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("Cannot create a TCP socket");
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.ai_family == AF_INET6)
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  sockaddr_storage bound{};
  std::memcpy(&bound, address.ai_addr, address.ai_addrlen);
  if (address.ai_family == AF_INET6)
    reinterpret_cast<sockaddr_in6&>(bound).sin6_port = htons(port);
  else
    reinterpret_cast<sockaddr_in&>(bound).sin_port = htons(port);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&bound), address.ai_addrlen) != 0) {
    return fail_errno(fmt::format("Cannot listen on TCP port {}", port));
  }
  if (::listen(fd.get(), kBacklog) != 0)
    return fail_errno(fmt::format("Cannot listen on TCP port {}", port));
  return fd;
}

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

Result<UniqueFd> dial_link(const std::string& address, std::uint16_t port,
                           const std::string& move_id, std::uint16_t link, Deadline deadline) {
  ASSIGN_OR_RETURN(const auto preamble, encode_preamble({move_id, link}));
  ASSIGN_OR_RETURN(const Addresses addresses, resolve(address, port, AI_ADDRCONFIG));
  int reason = EADDRNOTAVAIL;
  for (const addrinfo* at = addresses.get(); at != nullptr; at = at->ai_next) {
    UniqueFd fd(::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return fail_errno("Cannot create a TCP socket");
    reason = try_connect(fd.get(), *at, deadline);
    if (reason != 0) continue;
    set_link_options(fd.get());
    // 28 bytes always fit into the buffer of a new connection.
    if (::send(fd.get(), preamble.data(), preamble.size(), MSG_NOSIGNAL) ==
        static_cast<ssize_t>(preamble.size())) {
      return fd;
    }
    reason = errno;
  }
  return no_answer(address, port, std::strerror(reason));
}

Result<std::vector<UniqueFd>> listen_tcp(const std::string& address, std::uint16_t port) {
  ASSIGN_OR_RETURN(const Addresses addresses, resolve(address, port, AI_PASSIVE));
  std::vector<UniqueFd> listeners;
  for (const addrinfo* at = addresses.get(); at != nullptr; at = at->ai_next) {
    auto listener = listen_at(*at, port);
    // A host without IPv6 has its wildcard all the same.
    if (!listener && at->ai_family == AF_INET6 && address.empty() && at->ai_next != nullptr)
      continue;
    if (!listener && !listeners.empty() && address.empty()) continue;
    if (!listener) return std::unexpected(std::move(listener).error());
    if (port == 0) {
      ASSIGN_OR_RETURN(port, local_port(listener->get()));
    }
    listeners.push_back(std::move(*listener));
  }
  if (listeners.empty()) return fail(ErrorCode::kNotFound, "No address to listen on: {}.", address);
  return listeners;
}

Result<std::uint16_t> local_port(int fd) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    return fail_errno("Cannot read a port");
  if (bound.ss_family == AF_INET6)
    return ntohs(reinterpret_cast<const sockaddr_in6&>(bound).sin6_port);
  return ntohs(reinterpret_cast<const sockaddr_in&>(bound).sin_port);
}

}  // namespace drover::net
