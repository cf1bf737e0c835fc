// SPDX-License-Identifier: Apache-2.0
#include "move/file_sender.h"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "content/stream_digest.h"
#include "net/unix_socket.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kPieceBytes = 1 << 20;
constexpr auto kConnectLimit = 5s;
constexpr auto kLook = 100ms;     // how late a stop may be noticed
constexpr auto kGrowLook = 10ms;  // and that the file has grown

Status stopped() { return fail(ErrorCode::kCancelled, "It was broken off."); }

Status send_piece(const std::stop_token& stop, int socket, const std::uint8_t* bytes,
                  std::size_t size) {
  while (size > 0) {
    if (stop.stop_requested()) return stopped();
    const auto ready = net::wait_for(socket, POLLOUT, Deadline::after(kLook));
    if (!ready && ready.error().code == ErrorCode::kTimeout) continue;
    RETURN_IF_ERROR(ready);
    const ssize_t n = ::send(socket, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) return fail_errno("The mover takes no more");
    bytes += n;
    size -= static_cast<std::size_t>(n);
  }
  return {};
}

// Nothing ever comes back but the end.
Status await_end(const std::stop_token& stop, int socket) {
  while (!stop.stop_requested()) {
    const auto ready = net::wait_for(socket, POLLIN, Deadline::after(kLook));
    if (!ready && ready.error().code == ErrorCode::kTimeout) continue;
    RETURN_IF_ERROR(ready);
    std::array<std::uint8_t, 16> byte{};
    const ssize_t n = ::recv(socket, byte.data(), byte.size(), MSG_DONTWAIT);
    if (n == 0) return {};
    if (n < 0 && errno != EINTR && errno != EAGAIN) return fail_errno("The mover has gone");
  }
  return stopped();
}

}  // namespace

FileSender::FileSender(UniqueFd file, Part part, std::filesystem::path socket)
    : file_(std::move(file)),
      part_(part),
      socket_(std::move(socket)),
      grown_(part.to.has_value()),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

FileSender::~FileSender() = default;

void FileSender::run(const std::stop_token& stop) {
  Status status;
  auto socket =
      net::connect_unix(socket_, net::SocketKind::kStream, Deadline::after(kConnectLimit));
  if (socket)
    status = send_all(stop, socket->get());
  else
    status = std::unexpected(socket.error());
  {
    const std::lock_guard lock(mutex_);
    status_ = std::move(status);
  }
  ended_ = true;
}

Status FileSender::send_all(const std::stop_token& stop, int socket) {
  std::vector<std::uint8_t> piece(kPieceBytes);
  std::uint64_t at = part_.from;
  content::StreamDigest digest;
  while (!part_.to || at < *part_.to) {
    if (stop.stop_requested()) return stopped();
    const bool last = grown_;  // asked before: what was written until then is read below
    const std::uint64_t wanted =
        part_.to ? std::min<std::uint64_t>(kPieceBytes, *part_.to - at) : kPieceBytes;
    const ssize_t n = ::pread(file_.get(), piece.data(), wanted, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("Cannot read");
    if (n == 0 && part_.to) return fail(ErrorCode::kCorrupt, "The file is shorter than it was.");
    if (n == 0 && last) break;
    if (n == 0) {
      std::this_thread::sleep_for(kGrowLook);
      continue;
    }
    if (part_.hashed) digest.add(std::span(piece).first(static_cast<std::size_t>(n)));
    RETURN_IF_ERROR(send_piece(stop, socket, piece.data(), static_cast<std::size_t>(n)));
    at += static_cast<std::uint64_t>(n);
    sent_ += static_cast<std::uint64_t>(n);
  }
  if (part_.hashed) {
    ASSIGN_OR_RETURN(std::string text, digest.text());
    const std::lock_guard lock(mutex_);
    sha256_ = std::move(text);
  }
  if (::shutdown(socket, SHUT_WR) != 0) return fail_errno("The mover takes no more");
  return await_end(stop, socket);
}

Status FileSender::result() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

std::string FileSender::sha256() const {
  const std::lock_guard lock(mutex_);
  return sha256_;
}

}  // namespace drover::move
