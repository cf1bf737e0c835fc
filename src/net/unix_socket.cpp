// SPDX-License-Identifier: Apache-2.0
#include "net/unix_socket.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace drover::net {
namespace {

int type_of(SocketKind kind) {
  return (kind == SocketKind::kStream ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_CLOEXEC;
}

Result<sockaddr_un> address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string text = path.string();
  if (text.empty() || text.size() > kUnixPathMax) {
    return fail(ErrorCode::kInvalidArgument, "{} is longer than a socket path may be ({} bytes).",
                text, kUnixPathMax);
  }
  std::memcpy(address.sun_path, text.data(), text.size());
  return address;
}

// A seqpacket send buffer must hold a whole message.
void widen_buffer(int fd) {
  const int bytes = static_cast<int>(2 * kPacketBytesMax);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

std::vector<UniqueFd> take_descriptors(msghdr& message) {
  std::vector<UniqueFd> descriptors;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      descriptors.emplace_back(fd);
    }
  }
  return descriptors;
}

}  // namespace

Status wait_for(int fd, short events, Deadline deadline) {
  while (true) {
    pollfd entry{fd, events, 0};
    const int n = ::poll(&entry, 1, deadline.poll_ms());
    if (n > 0) return {};
    if (n < 0 && errno != EINTR) return fail_errno("Cannot wait for a descriptor");
    if (n == 0 && deadline.expired())
      return fail(ErrorCode::kTimeout, "The wait for a socket ran out of time.");
  }
}

Result<UniqueFd> listen_unix(const std::filesystem::path& path, SocketKind kind, mode_t mode) {
  ASSIGN_OR_RETURN(const sockaddr_un address, address_of(path));
  UniqueFd fd(::socket(AF_UNIX, type_of(kind), 0));
  if (!fd) return fail_errno("Cannot create a unix socket");
  struct stat info{};
  if (::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) ::unlink(path.c_str());
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno(fmt::format("Cannot bind {}", path.string()));
  }
  if (::chmod(path.c_str(), mode) != 0)
    return fail_errno(fmt::format("Cannot set the mode of {}", path.string()));
  if (::listen(fd.get(), 16) != 0)
    return fail_errno(fmt::format("Cannot listen on {}", path.string()));
  return fd;
}

Result<UniqueFd> connect_unix(const std::filesystem::path& path, SocketKind kind,
                              Deadline deadline) {
  ASSIGN_OR_RETURN(const sockaddr_un address, address_of(path));
  UniqueFd fd(::socket(AF_UNIX, type_of(kind), 0));
  if (!fd) return fail_errno("Cannot create a unix socket");
  if (kind == SocketKind::kPackets) widen_buffer(fd.get());
  // A unix connect blocks only while the listener's backlog is full; the send timeout bounds that.
  if (!deadline.is_never()) {
    const auto left = deadline.left().count();
    const timeval limit{left / 1000, (left % 1000) * 1000 + 1};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }
  while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EINTR) continue;
    return fail_errno(fmt::format("Cannot connect to {}", path.string()));
  }
  const timeval none{};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none);
  return fd;
}

Result<UniqueFd> accept_one(int listener, Deadline deadline) {
  while (true) {
    RETURN_IF_ERROR(wait_for(listener, POLLIN, deadline));
    UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (fd) return fd;
    if (errno != EINTR && errno != ECONNABORTED && errno != EAGAIN)
      return fail_errno("Cannot accept a connection");
  }
}

Result<std::pair<UniqueFd, UniqueFd>> socket_pair(SocketKind kind) {
  int fds[2];
  if (::socketpair(AF_UNIX, type_of(kind), 0, fds) != 0)
    return fail_errno("Cannot create a socket pair");
  if (kind == SocketKind::kPackets) {
    widen_buffer(fds[0]);
    widen_buffer(fds[1]);
  }
  return std::pair(UniqueFd(fds[0]), UniqueFd(fds[1]));
}

Status send_packet(int fd, std::string_view text, std::span<const int> descriptors,
                   Deadline deadline) {
  DROVER_CHECK(!text.empty() && text.size() <= kPacketBytesMax);
  DROVER_CHECK(descriptors.size() <= kPacketDescriptorsMax);
  iovec part{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kPacketDescriptorsMax * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(c), descriptors.data(), descriptors.size_bytes());
  }
  while (true) {
    RETURN_IF_ERROR(wait_for(fd, POLLOUT, deadline));
    if (::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return {};
    if (errno == EINTR || errno == EAGAIN) continue;
    return fail_errno("Cannot send a control message");
  }
}

Result<std::optional<Packet>> receive_packet(int fd, Deadline deadline) {
  Packet packet;
  packet.text.resize(kPacketBytesMax);
  alignas(cmsghdr) char control[CMSG_SPACE(kPacketDescriptorsMax * sizeof(int))];
  while (true) {
    RETURN_IF_ERROR(wait_for(fd, POLLIN, deadline));
    iovec part{packet.text.data(), packet.text.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t n = ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    // The other side closed without reading all. What it sent before still comes, then the end.
    if (n < 0 && errno == ECONNRESET) continue;
    if (n < 0) return fail_errno("Cannot receive a control message");
    packet.descriptors = take_descriptors(message);
    if (n == 0) return std::nullopt;
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
      return fail(ErrorCode::kProtocol, "A control message is larger than {} bytes.",
                  kPacketBytesMax);
    }
    packet.text.resize(static_cast<std::size_t>(n));
    return packet;
  }
}

}  // namespace drover::net
