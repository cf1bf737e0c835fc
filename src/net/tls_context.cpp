// SPDX-License-Identifier: Apache-2.0
#include "net/tls_context.h"

#include <csignal>
#include <mutex>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>

#include "base/random.h"
#include "net/unix_socket.h"

namespace drover::net {
namespace {

// Both use SHA-256, as the PSKs do: a suite with another hash could not be keyed by them.
constexpr const char* kSuites = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";
constexpr unsigned char kPskSuite[2] = {0x13, 0x01};
constexpr std::string_view kBindingLabel = "EXPORTER-drover-pairing-v1";
constexpr std::size_t kIdentityMax = 128;

// What one handshake expects and finds; reached from OpenSSL's callbacks through the SSL's
// application data.
struct Handshake {
  std::string expected_key;              // clients: pinned; empty: see below
  const InviteSecret* secret = nullptr;  // clients: join with this and nothing else
  const PskLookup* lookup = nullptr;     // servers
  bool other_key = false;                // the server showed a key that is not the pinned one
  std::string peer_key;
  std::string psk_identity;
};

Handshake* handshake_of(const SSL* ssl) { return static_cast<Handshake*>(SSL_get_app_data(ssl)); }

std::string tls_errors() {
  std::string text;
  while (const unsigned long code = ERR_get_error()) {
    char line[256];
    ERR_error_string_n(code, line, sizeof line);
    if (!text.empty()) text += "; ";
    text += line;
  }
  return text.empty() ? "the connection was closed" : text;
}

// Replaces all of OpenSSL's chain, name and date checks: the key is the identity.
int take_certificate(X509_STORE_CTX* store, void*) {
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  Handshake& handshake = *handshake_of(ssl);
  std::string key = public_key_of(X509_STORE_CTX_get0_cert(store));
  const bool server = SSL_is_server(ssl) == 1;
  const bool pinned = !handshake.expected_key.empty() && same_secret(key, handshake.expected_key);
  if (!key.empty() && (server || pinned)) {
    handshake.peer_key = std::move(key);
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  handshake.other_key = true;
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
  return 0;
}

SSL_SESSION* psk_session(SSL* ssl, const Digest& key) {
  const SSL_CIPHER* suite = SSL_CIPHER_find(ssl, kPskSuite);
  std::unique_ptr<SSL_SESSION, decltype(&SSL_SESSION_free)> session(SSL_SESSION_new(),
                                                                    SSL_SESSION_free);
  if (session == nullptr || suite == nullptr ||
      SSL_SESSION_set1_master_key(session.get(), key.data(), key.size()) != 1 ||
      SSL_SESSION_set_cipher(session.get(), suite) != 1 ||
      SSL_SESSION_set_protocol_version(session.get(), TLS1_3_VERSION) != 1) {
    return nullptr;
  }
  return session.release();
}

// Server: an unknown identity is no error, the handshake goes on with certificates.
int find_psk(SSL* ssl, const unsigned char* bytes, std::size_t size, SSL_SESSION** out) {
  *out = nullptr;
  Handshake& handshake = *handshake_of(ssl);
  if (size > kIdentityMax || handshake.lookup == nullptr || !*handshake.lookup) return 1;
  const std::string identity(reinterpret_cast<const char*>(bytes), size);
  const auto key = (*handshake.lookup)(identity);
  if (!key) return 1;
  *out = psk_session(ssl, *key);
  if (*out == nullptr) return 0;
  handshake.psk_identity = identity;
  return 1;
}

int use_psk(SSL* ssl, const EVP_MD*, const unsigned char** identity, std::size_t* size,
            SSL_SESSION** out) {
  *out = nullptr;
  const Handshake& handshake = *handshake_of(ssl);
  if (handshake.secret == nullptr) return 1;
  *out = psk_session(ssl, handshake.secret->key);
  *identity = reinterpret_cast<const unsigned char*>(handshake.secret->identity.data());
  *size = handshake.secret->identity.size();
  return *out == nullptr ? 0 : 1;
}

std::shared_ptr<SSL_CTX> make_context(const SSL_METHOD* method, const HostIdentity* identity) {
  // SSL_write() has no MSG_NOSIGNAL.
  static std::once_flag once;
  std::call_once(once, [] { std::signal(SIGPIPE, SIG_IGN); });
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(method), SSL_CTX_free);
  DROVER_CHECK(context != nullptr);
  DROVER_CHECK(SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) == 1);
  DROVER_CHECK(SSL_CTX_set_ciphersuites(context.get(), kSuites) == 1);
  DROVER_CHECK(SSL_CTX_set1_groups_list(context.get(), "X25519:P-256") == 1);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_options(context.get(),
                      SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_max_early_data(context.get(), 0);
  SSL_CTX_set_cert_verify_callback(context.get(), take_certificate, nullptr);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (identity != nullptr) {
    DROVER_CHECK(SSL_CTX_use_certificate(context.get(), identity->certificate()) == 1);
    DROVER_CHECK(SSL_CTX_use_PrivateKey(context.get(), identity->key()) == 1);
  }
  return context;
}

class Session final : public TlsStream {
 public:
  Session(UniqueFd socket, std::shared_ptr<SSL_CTX> context)
      : socket_(std::move(socket)),
        context_(std::move(context)),
        ssl_(SSL_new(context_.get()), SSL_free) {
    set_non_blocking(socket_.get());
    DROVER_CHECK(ssl_ != nullptr);
    SSL_set_app_data(ssl_.get(), &handshake);
    SSL_set_fd(ssl_.get(), socket_.get());
  }
  ~Session() override {
    // Best effort: the alert goes out if the socket's buffer has room.
    ERR_clear_error();
    if (established_) SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }

  Status negotiate(bool server, Deadline deadline) {
    while (true) {
      ERR_clear_error();
      const int result = server ? SSL_accept(ssl_.get()) : SSL_connect(ssl_.get());
      if (result == 1) break;
      RETURN_IF_ERROR(wait_after(result, "complete the TLS handshake", deadline));
    }
    established_ = true;
    // OpenSSL counts a session keyed by an external PSK as resumed.
    if (SSL_session_reused(ssl_.get()) == 0)
      handshake.psk_identity.clear();
    else if (handshake.secret != nullptr)
      handshake.psk_identity = handshake.secret->identity;
    return {};
  }

  Result<std::size_t> read(std::span<char> into, Deadline deadline) override {
    while (true) {
      ERR_clear_error();
      std::size_t done = 0;
      const int result = SSL_read_ex(ssl_.get(), into.data(), into.size(), &done);
      if (result == 1) return done;
      if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_ZERO_RETURN) return std::size_t{0};
      RETURN_IF_ERROR(wait_after(result, "read from a TLS connection", deadline));
    }
  }

  Status write(std::string_view bytes, Deadline deadline) override {
    while (!bytes.empty()) {
      ERR_clear_error();
      std::size_t done = 0;
      const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &done);
      if (result == 1)
        bytes.remove_prefix(done);
      else
        RETURN_IF_ERROR(wait_after(result, "write to a TLS connection", deadline));
    }
    return {};
  }

  int descriptor() const override { return socket_.get(); }
  const std::string& peer_key() const override { return handshake.peer_key; }
  const std::string& psk_identity() const override { return handshake.psk_identity; }

  std::string channel_binding() const override {
    std::string out(32, '\0');
    DROVER_CHECK(SSL_export_keying_material(
                     ssl_.get(), reinterpret_cast<unsigned char*>(out.data()), out.size(),
                     kBindingLabel.data(), kBindingLabel.size(), nullptr, 0, 0) == 1);
    return out;
  }

  Handshake handshake;

 private:
  Status wait_after(int result, std::string_view what, Deadline deadline) {
    const int reason = SSL_get_error(ssl_.get(), result);
    if (reason == SSL_ERROR_WANT_READ) return wait_for(socket_.get(), POLLIN, deadline);
    if (reason == SSL_ERROR_WANT_WRITE) return wait_for(socket_.get(), POLLOUT, deadline);
    established_ = false;  // no SSL_shutdown() after a fatal error
    const int number = errno;
    if (reason == SSL_ERROR_SYSCALL && number != 0)
      return fail_errno(fmt::format("Cannot {}", what), number);
    return std::unexpected(Error{
        ErrorCode::kProtocol, Retry::kNever, fmt::format("Cannot {}.", what), {tls_errors()}});
  }

  UniqueFd socket_;
  std::shared_ptr<SSL_CTX> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
  bool established_ = false;
};

}  // namespace

TlsServerContext::TlsServerContext(const HostIdentity& identity, PskLookup lookup)
    : identity_(identity),
      lookup_(std::move(lookup)),
      context_(make_context(TLS_server_method(), &identity_)) {
  // A server that asks for certificates must name its sessions before OpenSSL lets a PSK key one.
  const unsigned char name[] = "drover";
  SSL_CTX_set_session_id_context(context_.get(), name, sizeof name);
  SSL_CTX_set_psk_find_session_callback(context_.get(), find_psk);
}

TlsServerContext::~TlsServerContext() = default;

Result<std::unique_ptr<TlsStream>> TlsServerContext::accept(UniqueFd socket,
                                                            Deadline deadline) const {
  auto session = std::make_unique<Session>(std::move(socket), context_);
  session->handshake.lookup = &lookup_;
  RETURN_IF_ERROR(session->negotiate(true, deadline));
  session->handshake.lookup = nullptr;
  return session;
}

TlsClientContext::TlsClientContext(const HostIdentity* identity)
    : context_(make_context(TLS_client_method(), identity)) {
  SSL_CTX_set_psk_use_session_callback(context_.get(), use_psk);
}

Result<std::unique_ptr<TlsStream>> TlsClientContext::connect(UniqueFd socket,
                                                             std::string_view server_key,
                                                             Deadline deadline) const {
  auto session = std::make_unique<Session>(std::move(socket), context_);
  session->handshake.expected_key = server_key;
  auto status = session->negotiate(false, deadline);
  if (!status && session->handshake.other_key) {
    return std::unexpected(
        Error{ErrorCode::kUnauthenticated, Retry::kNever, "The server holds another key.", {}});
  }
  RETURN_IF_ERROR(status);
  return session;
}

Result<std::unique_ptr<TlsStream>> TlsClientContext::connect(UniqueFd socket,
                                                             const InviteSecret& secret,
                                                             Deadline deadline) const {
  auto session = std::make_unique<Session>(std::move(socket), context_);
  session->handshake.secret = &secret;
  auto status = session->negotiate(false, deadline);
  // Either the server fell back to its certificate (unknown identity), or the binder did not fit
  // (wrong key).
  const bool refused = !status && status.error().code == ErrorCode::kProtocol;
  if (refused || (status && session->psk_identity().empty())) {
    Error error{ErrorCode::kUnauthenticated,
                Retry::kNever,
                "The server does not know the invite's code.",
                {}};
    if (!status) error.causes = status.error().causes;
    return std::unexpected(std::move(error));
  }
  RETURN_IF_ERROR(status);
  session->handshake.secret = nullptr;
  return session;
}

}  // namespace drover::net
