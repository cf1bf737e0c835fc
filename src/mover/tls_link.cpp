// SPDX-License-Identifier: Apache-2.0
#include "mover/tls_link.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>

#include <linux/tcp.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/random.h"
#include "mover/limits.h"
#include "net/unix_socket.h"

namespace drover::mover {
namespace {

constexpr std::size_t kReceiveBytes = 256 * 1024;
constexpr std::size_t kSendBytes = 256 * 1024;  // sent at once when so much is encrypted
constexpr std::size_t kSendBytesMax =
    1024 * 1024;  // a peer that makes OpenSSL answer without end is cut off here

std::unexpected<Error> ended() {
  return fail(ErrorCode::kUnavailable, "The other side closed the connection.");
}

}  // namespace

struct TlsLink::Memory {
  std::vector<std::uint8_t> in = std::vector<std::uint8_t>(kReceiveBytes);  // the reader's own
  std::size_t in_begin = 0;
  std::size_t in_end = 0;
  std::vector<std::uint8_t> out;

  static int read(BIO* bio, char* into, int bytes) {
    auto& memory = *static_cast<Memory*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    const std::size_t n =
        std::min(memory.in_end - memory.in_begin, static_cast<std::size_t>(bytes));
    if (n == 0) {
      BIO_set_retry_read(bio);
      return -1;
    }
    std::memcpy(into, memory.in.data() + memory.in_begin, n);
    memory.in_begin += n;
    return static_cast<int>(n);
  }

  static int write(BIO* bio, const char* from, int bytes) {
    auto& memory = *static_cast<Memory*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (memory.out.size() + static_cast<std::size_t>(bytes) > kSendBytesMax) {
      BIO_set_retry_write(bio);
      return -1;
    }
    // Of the vector's own type, or it copies byte by byte.
    const auto* first = reinterpret_cast<const std::uint8_t*>(from);
    memory.out.insert(memory.out.end(), first, first + bytes);
    return bytes;
  }

  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static const BIO_METHOD* method() {
    static BIO_METHOD* const kMethod = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "link memory");
      DROVER_CHECK(made != nullptr);
      BIO_meth_set_read(made, read);
      BIO_meth_set_write(made, write);
      BIO_meth_set_ctrl(made, control);
      BIO_meth_set_create(made, [](BIO* bio) {
        BIO_set_init(bio, 1);
        return 1;
      });
      return made;
    }();
    return kMethod;
  }
};

TlsLink::TlsLink(UniqueFd socket, SslHandle ssl, WireBytes& wire)
    : socket_(std::move(socket)), wire_(wire), memory_(new Memory), ssl_(std::move(ssl)) {
  memory_->out.reserve(kSendBytes + 64 * 1024);
  sending_.reserve(kSendBytes + 64 * 1024);
}

TlsLink::~TlsLink() = default;

Result<std::unique_ptr<TlsLink>> TlsLink::open(const PskTls& tls, Role role, std::uint32_t number,
                                               UniqueFd socket, WireBytes& wire) {
  ASSIGN_OR_RETURN(SslHandle ssl, tls.open(role, number));
  // Fails harmlessly on the socket pairs of tests.
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const int unsent_max = 256 * 1024;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_max, sizeof unsent_max);
  std::unique_ptr<TlsLink> link(new TlsLink(std::move(socket), std::move(ssl), wire));
  BIO* bio = BIO_new(Memory::method());
  if (bio == nullptr) return fail(ErrorCode::kInternal, "Cannot set up TLS: {}.", tls_error_text());
  BIO_set_data(bio, link->memory_.get());
  SSL_set_bio(link->ssl_.get(), bio, bio);
  return link;
}

Status TlsLink::send_all(std::span<const std::uint8_t> bytes, Deadline deadline) {
  while (!bytes.empty()) {
    const ssize_t n =
        ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      wire_.sent += static_cast<std::uint64_t>(n);
      carried_ += static_cast<std::uint64_t>(n);
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      const auto started = std::chrono::steady_clock::now();
      RETURN_IF_ERROR(net::wait_for(socket_.get(), POLLOUT, deadline));
      const std::chrono::nanoseconds waited = std::chrono::steady_clock::now() - started;
      wire_.waited_ns += static_cast<std::uint64_t>(waited.count());
    } else if (errno != EINTR) {
      return fail_errno("Cannot send to the other mover");
    }
  }
  return {};
}

std::optional<SocketUse> TlsLink::use() const {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(socket_.get(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return {};
  return SocketUse{.acknowledged_bytes = info.tcpi_bytes_acked,
                   .busy = std::chrono::microseconds(info.tcpi_busy_time)};
}

Status TlsLink::receive_some(Deadline deadline) {
  DROVER_CHECK(memory_->in_begin == memory_->in_end);
  while (true) {
    const ssize_t n = ::recv(socket_.get(), memory_->in.data(), memory_->in.size(), MSG_DONTWAIT);
    if (n > 0) {
      wire_.received += static_cast<std::uint64_t>(n);
      carried_ += static_cast<std::uint64_t>(n);
      memory_->in_begin = 0;
      memory_->in_end = static_cast<std::size_t>(n);
      return {};
    }
    if (n == 0) return ended();
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      RETURN_IF_ERROR(net::wait_for(socket_.get(), POLLIN, deadline));
    } else if (errno != EINTR) {
      return fail_errno("Cannot receive from the other mover");
    }
  }
}

// The buffers swap, so that encryption goes on while one is sent.
Status TlsLink::send_pending(Deadline deadline) {
  sending_.clear();
  {
    const std::lock_guard lock(mutex_);
    sending_.swap(memory_->out);
  }
  return send_all(sending_, deadline);
}

Status TlsLink::handshake(Deadline deadline) {
  while (true) {
    ERR_clear_error();
    const int done = SSL_do_handshake(ssl_.get());
    const int reason = done == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), done);
    const std::string why = reason == SSL_ERROR_SSL ? tls_error_text() : "";
    // An alert is sent also when we refuse.
    Status sent = send_pending(deadline);
    if (reason == SSL_ERROR_SSL) {
      return fail(ErrorCode::kUnauthenticated, "The TLS handshake of a link failed: {}.", why);
    }
    RETURN_IF_ERROR(sent);
    if (reason == SSL_ERROR_NONE) return check_proven(ssl_.get());
    if (reason != SSL_ERROR_WANT_READ)
      return fail(ErrorCode::kProtocol, "The TLS handshake of a link went astray.");
    RETURN_IF_ERROR(receive_some(deadline));
  }
}

Status TlsLink::change_key_if_due(std::size_t bytes) {
  bytes_under_key_ += bytes;
  if (bytes_under_key_ < kKeyUpdateBytes) return {};
  bytes_under_key_ = 0;
  if (SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED) == 1) return {};
  return fail(ErrorCode::kInternal, "Cannot change the key of a link: {}.", tls_error_text());
}

Status TlsLink::write(std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    std::size_t pending = 0;
    {
      const std::lock_guard lock(mutex_);
      const std::size_t part = std::min<std::size_t>(bytes.size(), 64 * 1024);
      RETURN_IF_ERROR(change_key_if_due(part));
      ERR_clear_error();
      std::size_t written = 0;
      if (SSL_write_ex(ssl_.get(), bytes.data(), part, &written) != 1) {
        return fail(ErrorCode::kProtocol, "Cannot encrypt for the other mover: {}.",
                    tls_error_text());
      }
      bytes = bytes.subspan(written);
      pending = memory_->out.size();
    }
    if (pending >= kSendBytes) RETURN_IF_ERROR(flush());
  }
  return {};
}

// A dead link is found by the reader, which then shuts the socket down: no deadline of its own is
// needed, but a generous one stands here all the same.
Status TlsLink::flush() { return send_pending(Deadline::after(4 * kSilenceMax)); }

Result<std::size_t> TlsLink::read(std::span<std::uint8_t> out,
                                  std::chrono::milliseconds silence_max) {
  while (true) {
    std::size_t n = 0;
    {
      const std::lock_guard lock(mutex_);
      ERR_clear_error();
      if (SSL_read_ex(ssl_.get(), out.data(), out.size(), &n) == 1) return n;
      const int reason = SSL_get_error(ssl_.get(), 0);
      if (reason == SSL_ERROR_ZERO_RETURN) return ended();
      if (reason != SSL_ERROR_WANT_READ) {
        return fail(ErrorCode::kProtocol, "Cannot decrypt what the other mover sent: {}.",
                    tls_error_text());
      }
    }
    RETURN_IF_ERROR(receive_some(Deadline::after(silence_max)));
  }
}

void TlsLink::shut_down() { ::shutdown(socket_.get(), SHUT_RDWR); }

Status load_tls() {
  std::array<std::uint8_t, PskKey::kBytes> key{};
  fill_random(key);
  const PskTls tls(std::make_unique<PskKey>(key), "load");
  WireBytes wire;
  ASSIGN_OR_RETURN(auto sockets, net::socket_pair(net::SocketKind::kStream));
  ASSIGN_OR_RETURN(const auto client,
                   TlsLink::open(tls, Role::kSource, 1, std::move(sockets.first), wire));
  ASSIGN_OR_RETURN(const auto server,
                   TlsLink::open(tls, Role::kDestination, 1, std::move(sockets.second), wire));
  const Deadline deadline = Deadline::after(kHandshakePatience);
  Status served;
  std::jthread thread([&] { served = server->handshake(deadline); });
  Status dialled = client->handshake(deadline);
  thread.join();
  RETURN_IF_ERROR(dialled);
  return served;
}

}  // namespace drover::mover
