// SPDX-License-Identifier: Apache-2.0
#include "net/dial.h"

#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>
#include <memory>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/byte_stream.h"
#include "net/unix_socket.h"

namespace drover::net {
namespace {

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Result<AddressList> resolve(const Address& address, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const std::string port = std::to_string(address.port);
  const char* host = address.host.empty() ? nullptr : address.host.c_str();
  const int code = ::getaddrinfo(host, port.c_str(), &hints, &list);
  if (code != 0) {
    return std::unexpected(
        Error{ErrorCode::kUnavailable,
              Retry::kLater,
              fmt::format("The name {} has no address. Check the name, or use an IP address.",
                          address.host),
              {::gai_strerror(code)}});
  }
  return AddressList(list, freeaddrinfo);
}

// 0 or the errno that ended the attempt.
int connect_within(int fd, const addrinfo& to, Deadline deadline) {
  if (::connect(fd, to.ai_addr, to.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  if (!wait_for(fd, POLLOUT, deadline)) return ETIMEDOUT;
  int number = 0;
  socklen_t size = sizeof number;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size);
  return number;
}

// 0 or the errno of what was wrong.
int bind_to(int fd, const addrinfo& local) {
  const int on = 1;  // the port is chosen by connect(2), so none is taken for long
  ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  return ::bind(fd, local.ai_addr, local.ai_addrlen) == 0 ? 0 : errno;
}

std::unexpected<Error> fail_bind(const std::string& from, int number) {
  return std::unexpected(Error{
      ErrorCode::kUnavailable,
      Retry::kLater,
      fmt::format("A connection cannot leave from {} ({}). Is it still an address of this host?",
                  from, std::strerror(number)),
      {fmt::format("errno {}", number)}});
}

std::unexpected<Error> fail_dial(const Address& address, int number) {
  std::string_view cause = std::strerror(number);
  std::string_view hint = "Check the network between the hosts.";
  if (number == ECONNREFUSED) {
    cause = "connection refused";
    hint = "Is droverd running and TCP {} open there?";
  } else if (number == ETIMEDOUT) {
    cause = "no answer in time";
    hint = "Is the host up and TCP {} open there?";
  } else if (number == ENETUNREACH || number == EHOSTUNREACH) {
    cause = "no route to it";
  }
  return std::unexpected(Error{ErrorCode::kUnavailable,
                               Retry::kLater,
                               fmt::format("{} does not answer ({}). {}", address_text(address, 0),
                                           cause, fmt::format(fmt::runtime(hint), address.port)),
                               {fmt::format("errno {}", number)}});
}

Result<Address> address_of(const sockaddr_storage& storage, socklen_t size) {
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (::getnameinfo(reinterpret_cast<const sockaddr*>(&storage), size, host, sizeof host, port,
                    sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return fail(ErrorCode::kSystem, "A socket has no TCP address.");
  }
  std::string text = host;
  if (text.starts_with("::ffff:") && text.find('.') != std::string::npos) text.erase(0, 7);
  return Address{text, static_cast<std::uint16_t>(std::stoi(port))};
}

}  // namespace

Result<Address> read_address(std::string_view text, std::uint16_t default_port) {
  const auto bad = [&] {
    return fail(ErrorCode::kInvalidArgument,
                "\"{}\" is not an address. Write host, host:port or [IPv6]:port.",
                text.substr(0, 80));
  };
  Address address{std::string(text), default_port};
  std::string_view port;
  const std::size_t colon = text.rfind(':');
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || (end + 1 < text.size() && text[end + 1] != ':'))
      return bad();
    address.host = text.substr(1, end - 1);
    if (end + 1 < text.size()) port = text.substr(end + 2);
    if (end + 1 < text.size() && port.empty()) return bad();
  } else if (colon != std::string_view::npos && text.find(':') == colon) {
    address.host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (port.empty()) return bad();
  }
  const auto allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%";
  if (address.host.empty() || address.host.size() > 253 ||
      address.host.find_first_not_of(allowed) != std::string::npos) {
    return bad();
  }
  if (!port.empty()) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
    if (error != std::errc() || end != port.data() + port.size() || address.port == 0) return bad();
  }
  return address;
}

std::string address_text(const Address& address, std::uint16_t default_port) {
  const bool bare6 = address.host.find(':') != std::string::npos;
  if (address.port == default_port) return address.host;
  return fmt::format("{}{}{}:{}", bare6 ? "[" : "", address.host, bare6 ? "]" : "", address.port);
}

Result<UniqueFd> dial_tcp(const Address& address, Deadline deadline, const std::string& from) {
  ASSIGN_OR_RETURN(const AddressList list, resolve(address, AI_ADDRCONFIG));
  AddressList local(nullptr, freeaddrinfo);
  if (!from.empty()) {
    ASSIGN_OR_RETURN(local, resolve({from, 0}, AI_NUMERICHOST));
  }
  int number = ETIMEDOUT;
  for (const addrinfo* entry = list.get(); entry != nullptr && !deadline.expired();
       entry = entry->ai_next) {
    UniqueFd fd(::socket(entry->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
      number = errno;
      continue;
    }
    if (local) {
      number = EAFNOSUPPORT;
      if (local->ai_family != entry->ai_family) continue;
      if (number = bind_to(fd.get(), *local); number != 0) return fail_bind(from, number);
    }
    number = connect_within(fd.get(), *entry, deadline);
    if (number != 0) continue;
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
  }
  return fail_dial(address, number);
}

Result<UniqueFd> listen_tcp(const Address& address) {
  ASSIGN_OR_RETURN(const AddressList list, resolve(address, AI_PASSIVE));
  // "::" with both families is listed after 0.0.0.0 by glibc, and serves both.
  const addrinfo* chosen = list.get();
  for (const addrinfo* entry = list.get(); address.host.empty() && entry != nullptr;
       entry = entry->ai_next) {
    if (entry->ai_family == AF_INET6) chosen = entry;
  }
  UniqueFd fd(::socket(chosen->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd && chosen != list.get()) {  // a kernel without IPv6
    chosen = list.get();
    fd.reset(::socket(chosen->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  }
  if (!fd) return fail_errno("Cannot create a TCP socket");
  const int on = 1, off = 0;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (chosen->ai_family == AF_INET6)
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  const std::string name = fmt::format(
      "TCP {} port {}", address.host.empty() ? "any address" : address.host, address.port);
  if (::bind(fd.get(), chosen->ai_addr, chosen->ai_addrlen) != 0) {
    return fail_errno(fmt::format("Cannot bind {}", name));
  }
  if (::listen(fd.get(), 64) != 0) return fail_errno(fmt::format("Cannot listen on {}", name));
  return fd;
}

Result<Address> local_address(int socket) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &size) != 0) {
    return fail_errno("Cannot read a socket's address");
  }
  return address_of(storage, size);
}

Result<Address> remote_address(int socket) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&storage), &size) != 0) {
    return fail_errno("Cannot read a socket's address");
  }
  return address_of(storage, size);
}

std::string likely_own_address() {
  // The source address of the default route: connecting a datagram socket sends nothing. 192.0.2.1
  // is TEST-NET-1.
  const UniqueFd probe(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in far{};
  far.sin_family = AF_INET;
  far.sin_port = htons(9);
  ::inet_pton(AF_INET, "192.0.2.1", &far.sin_addr);
  if (probe && ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&far), sizeof far) == 0) {
    if (const auto address = local_address(probe.get())) return address->host;
  }
  ifaddrs* raw = nullptr;
  if (::getifaddrs(&raw) == 0) {
    const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> list(raw, freeifaddrs);
    for (const ifaddrs* entry = raw; entry != nullptr; entry = entry->ifa_next) {
      if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET) continue;
      if ((entry->ifa_flags & IFF_LOOPBACK) != 0 || (entry->ifa_flags & IFF_UP) == 0) continue;
      char text[INET_ADDRSTRLEN] = {};
      ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(entry->ifa_addr)->sin_addr, text,
                  sizeof text);
      return text;
    }
  }
  char name[HOST_NAME_MAX + 1] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace drover::net
