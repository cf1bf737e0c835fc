// SPDX-License-Identifier: Apache-2.0
#include "net/byte_stream.h"

#include <cerrno>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "net/unix_socket.h"

namespace drover::net {
namespace {

class PlainStream final : public ByteStream {
 public:
  explicit PlainStream(UniqueFd socket) : socket_(std::move(socket)) {}

  Result<std::size_t> read(std::span<char> into, Deadline deadline) override {
    while (true) {
      const ssize_t n = ::recv(socket_.get(), into.data(), into.size(), MSG_DONTWAIT);
      if (n >= 0) return static_cast<std::size_t>(n);
      if (errno == ECONNRESET) return std::size_t{0};
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return fail_errno("Cannot read from a connection");
      RETURN_IF_ERROR(wait_for(socket_.get(), POLLIN, deadline));
    }
  }

  Status write(std::string_view bytes, Deadline deadline) override {
    while (!bytes.empty()) {
      const ssize_t n =
          ::send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n >= 0) {
        bytes.remove_prefix(static_cast<std::size_t>(n));
        continue;
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return fail_errno("Cannot write to a connection");
      RETURN_IF_ERROR(wait_for(socket_.get(), POLLOUT, deadline));
    }
    return {};
  }

  int descriptor() const override { return socket_.get(); }

 private:
  UniqueFd socket_;
};

}  // namespace

void ByteStream::shut_down() { ::shutdown(descriptor(), SHUT_RDWR); }

void set_non_blocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

std::unique_ptr<ByteStream> plain_stream(UniqueFd socket) {
  set_non_blocking(socket.get());
  return std::make_unique<PlainStream>(std::move(socket));
}

}  // namespace drover::net
