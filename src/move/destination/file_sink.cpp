// SPDX-License-Identifier: Apache-2.0
#include "move/destination/file_sink.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <span>

#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "content/stream_digest.h"
#include "net/unix_socket.h"

namespace drover::move {
namespace {

constexpr std::size_t kPieceBytes = 1 << 20;
constexpr std::size_t kBlockBytes = 4096;  // a hole is made of whole ones

// Of the file's path: the error travels to the source, whose user looks for it here.
std::unexpected<Error> fail_writing(const FileSink::Slot& slot, int error) {
  return fail_errno("Cannot write " + (slot.path.empty() ? slot.item : slot.path), error);
}

Status write_whole(const FileSink::Slot& slot, const std::uint8_t* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(slot.file.get(), bytes, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_writing(slot, errno);
    bytes += n;
    size -= static_cast<std::size_t>(n);
  }
  return {};
}

// Nothing: the other end has closed.
Result<std::size_t> receive(int socket, std::span<std::uint8_t> into, int flags) {
  while (true) {
    const ssize_t n = ::recv(socket, into.data(), into.size(), flags);
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno == EINTR) continue;
    Error gone = fail_errno("The mover has gone").error();
    gone.code = ErrorCode::kUnavailable;  // nothing that a file is to blame for
    return std::unexpected(std::move(gone));
  }
}

Status too_much(const FileSink::Slot& slot) {
  return fail(ErrorCode::kProtocol, "It has more than the {} that it may have.",
              to_text(slot.most));
}

bool is_zero(std::span<const std::uint8_t> block) {
  return block[0] == 0 && std::memcmp(block.data(), block.data() + 1, block.size() - 1) == 0;
}

// Blocks of zeroes are left out: the file is empty there.
Status write_data(const FileSink::Slot& slot, std::uint64_t at,
                  std::span<const std::uint8_t> bytes) {
  for (std::size_t begin = 0; begin < bytes.size();) {
    const auto block = [&](std::size_t from) {
      return bytes.subspan(from, std::min(kBlockBytes, bytes.size() - from));
    };
    std::size_t end = begin;
    while (end < bytes.size() && !is_zero(block(end))) end += block(end).size();
    if (end > begin) {
      if (::lseek(slot.file.get(), static_cast<off_t>(at + begin), SEEK_SET) < 0)
        return fail_writing(slot, errno);
      RETURN_IF_ERROR(write_whole(slot, bytes.data() + begin, end - begin));
    }
    begin = end;
    while (begin < bytes.size() && is_zero(block(begin))) begin += block(begin).size();
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
  const std::size_t number = opened_++;
  sockets_.push_back(std::move(pair.first));
  threads_.emplace_back(
      [this, number, socket = sockets_.back().get()] { write_all(number, socket); });
  return std::move(pair.second);
}

// What the mover has written is read to the end even if the mover has gone. Only then our end is
// closed, which tells the source that all of it is here.
void FileSink::write_all(std::size_t number, int socket) {
  const Slot& slot = slots_[number];
  Status status;
  std::string sha256;
  if (slot.kind == Slot::Kind::kPart) {
    status = write_part(slot, socket);
  } else {
    auto digest = slot.kind == Slot::Kind::kWhole ? write_whole_file(slot, socket)
                                                  : write_hashed_part(slot, socket);
    if (digest)
      sha256 = std::move(*digest);
    else
      status = std::unexpected(digest.error());
  }
  if (status && ::fdatasync(slot.file.get()) != 0) status = fail_writing(slot, errno);
  {
    const std::lock_guard lock(mutex_);
    ++done_;
    sha256_[number] = std::move(sha256);
    if (!status) failed_ = wrap(status.error(), fmt::format("{} cannot be taken.", slot.item));
  }
  if (!status) log::warning("{} cannot be taken: {}", slot.item, status.error().text());
  ::shutdown(socket, SHUT_RDWR);
}

Status FileSink::check_room(const Slot& slot) const {
  const ByteCount least = keeps_free_ ? keeps_free_() : ByteCount{};
  struct statvfs found{};
  if (least.bytes == 0 || ::fstatvfs(slot.file.get(), &found) != 0) return {};
  const ByteCount free{std::uint64_t{found.f_bavail} * found.f_frsize};
  if (free >= least) return {};
  return std::unexpected(
      Error{ErrorCode::kNoSpace,
            Retry::kLater,
            fmt::format("{}: only {} are free on its file system, and {} are kept.",
                        slot.path.empty() ? slot.item : slot.path, to_text(free), to_text(least)),
            {}});
}

Status FileSink::write_pieces(const Slot& slot, int socket, const Seen& seen) const {
  std::vector<std::uint8_t> piece(kPieceBytes);
  ByteCount taken;
  while (true) {
    ASSIGN_OR_RETURN(const std::size_t n, receive(socket, piece, 0));
    if (n == 0) return {};
    taken += ByteCount{n};
    if (taken.bytes > slot.most.bytes) return too_much(slot);
    RETURN_IF_ERROR(check_room(slot));
    RETURN_IF_ERROR(write_whole(slot, piece.data(), n));
    seen(std::span(piece).first(n));
  }
}

Status FileSink::write_part(const Slot& slot, int socket) const {
  return write_pieces(slot, socket, [](std::span<const std::uint8_t>) {});
}

Result<std::string> FileSink::write_hashed_part(const Slot& slot, int socket) const {
  content::StreamDigest digest;
  RETURN_IF_ERROR(
      write_pieces(slot, socket, [&](std::span<const std::uint8_t> piece) { digest.add(piece); }));
  return digest.text();
}

// By pieces that begin where blocks of the file do.
Result<std::string> FileSink::write_whole_file(const Slot& slot, int socket) const {
  std::vector<std::uint8_t> piece(kPieceBytes);
  content::StreamDigest digest;
  std::uint64_t at = 0;
  while (true) {
    ASSIGN_OR_RETURN(const std::size_t n, receive(socket, piece, MSG_WAITALL));
    if (n == 0) break;
    if (at + n > slot.most.bytes) return std::unexpected(too_much(slot).error());
    RETURN_IF_ERROR(check_room(slot));
    const auto bytes = std::span(piece).first(n);
    digest.add(bytes);
    RETURN_IF_ERROR(write_data(slot, at, bytes));
    at += n;
  }
  if (::ftruncate(slot.file.get(), static_cast<off_t>(at)) != 0) return fail_writing(slot, errno);
  return digest.text();
}

std::optional<Error> FileSink::failure() const {
  const std::lock_guard lock(mutex_);
  return failed_;
}

std::string FileSink::sha256(std::size_t slot) const {
  const std::lock_guard lock(mutex_);
  return slot < sha256_.size() ? sha256_[slot] : std::string();
}

Status FileSink::complete() const {
  const std::lock_guard lock(mutex_);
  if (failed_) return std::unexpected(*failed_);
  if (done_ == slots_.size()) return {};
  return fail(ErrorCode::kConflict, "Only {} of {} files have come.", done_, slots_.size());
}

}  // namespace drover::move
