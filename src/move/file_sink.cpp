// SPDX-License-Identifier: Apache-2.0
#include "move/file_sink.h"

#include <array>
#include <memory>

#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "net/unix_socket.h"

namespace drover::move {
namespace {

constexpr std::size_t kPieceBytes = 1 << 20;

Status write_whole(int file, const std::uint8_t* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(file, bytes, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("Cannot write");
    bytes += n;
    size -= static_cast<std::size_t>(n);
  }
  return {};
}

}  // namespace

FileSink::~FileSink() {
  {
    const std::lock_guard lock(mutex_);
    for (const UniqueFd& socket : sockets_) ::shutdown(socket.get(), SHUT_RDWR);
  }
  threads_.clear();
}

Result<UniqueFd> FileSink::open_next() {
  const std::lock_guard lock(mutex_);
  if (failed_) return std::unexpected(*failed_);
  if (opened_ == slots_.size() || opened_ != done_) {
    return fail(ErrorCode::kConflict, "No file is awaited now: {} of {} have come.", done_,
                slots_.size());
  }
  ASSIGN_OR_RETURN(auto pair, net::socket_pair(net::SocketKind::kStream));
  const Slot& slot = slots_[opened_++];
  sockets_.push_back(std::move(pair.first));
  threads_.emplace_back([this, &slot, socket = sockets_.back().get()] { write_all(slot, socket); });
  return std::move(pair.second);
}

// What the mover has written is read to the end even if the mover has gone. Only then our end is
// closed, which tells the source that all of it is here.
void FileSink::write_all(const Slot& slot, int socket) {
  std::vector<std::uint8_t> piece(kPieceBytes);
  Status status;
  ByteCount taken;
  while (status) {
    const ssize_t n = ::recv(socket, piece.data(), piece.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) status = fail_errno("Cannot read");
    if (n <= 0) break;
    taken += ByteCount{static_cast<std::uint64_t>(n)};
    if (taken.bytes > slot.most.bytes) {
      status = fail(ErrorCode::kProtocol, "It has more than the {} that it may have.",
                    to_text(slot.most));
    } else {
      status = write_whole(slot.file.get(), piece.data(), static_cast<std::size_t>(n));
    }
  }
  if (status && ::fdatasync(slot.file.get()) != 0) status = fail_errno("Cannot sync");
  {
    const std::lock_guard lock(mutex_);
    ++done_;
    if (!status) failed_ = wrap(status.error(), fmt::format("{} cannot be taken.", slot.item));
  }
  if (!status) log::warning("{} cannot be taken: {}", slot.item, status.error().text());
  ::shutdown(socket, SHUT_RDWR);
}

Status FileSink::complete() const {
  const std::lock_guard lock(mutex_);
  if (failed_) return std::unexpected(*failed_);
  if (done_ == slots_.size()) return {};
  return fail(ErrorCode::kConflict, "Only {} of {} files have come.", done_, slots_.size());
}

}  // namespace drover::move
