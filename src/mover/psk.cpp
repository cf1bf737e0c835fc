// SPDX-License-Identifier: Apache-2.0
#include "mover/psk.h"

#include <cstring>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace drover::mover {
namespace {

constexpr const char* kSuites = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";
constexpr unsigned char kAes128GcmSha256[] = {0x13, 0x01};

struct CtxDeleter {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using CtxHandle = std::unique_ptr<SSL_CTX, CtxDeleter>;

// What the callbacks of one connection need; hangs on the SSL object.
struct Expected {
  const PskKey* key;
  LinkIdentity identity;
};

int expected_index() {
  static const int index = SSL_get_ex_new_index(
      0, nullptr, nullptr, nullptr, [](void*, void* value, CRYPTO_EX_DATA*, int, long, void*) {
        delete static_cast<Expected*>(value);
      });
  return index;
}

const Expected& expected_of(SSL* ssl) {
  return *static_cast<Expected*>(SSL_get_ex_data(ssl, expected_index()));
}

// An external PSK is handed to OpenSSL as a session of the suite whose hash it is bound to.
SSL_SESSION* session_of_key(SSL* ssl, const PskKey& key) {
  SSL_SESSION* session = SSL_SESSION_new();
  const SSL_CIPHER* cipher = SSL_CIPHER_find(ssl, kAes128GcmSha256);
  if (session == nullptr || cipher == nullptr ||
      SSL_SESSION_set1_master_key(session, key.bytes().data(), key.bytes().size()) != 1 ||
      SSL_SESSION_set_cipher(session, cipher) != 1 ||
      SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) != 1) {
    SSL_SESSION_free(session);
    return nullptr;
  }
  return session;
}

int offer_key(SSL* ssl, const EVP_MD*, const unsigned char** id, std::size_t* id_bytes,
              SSL_SESSION** session) {
  const Expected& expected = expected_of(ssl);
  *session = session_of_key(ssl, *expected.key);
  if (*session == nullptr) return 0;
  *id = reinterpret_cast<const unsigned char*>(expected.identity.text.data());
  *id_bytes = expected.identity.text.size();
  return 1;
}

// No session without an error lets the handshake fail for want of a certificate; an error ends it
// at once.
int find_key(SSL* ssl, const unsigned char* id, std::size_t id_bytes, SSL_SESSION** session) {
  const Expected& expected = expected_of(ssl);
  *session = nullptr;
  const std::string& text = expected.identity.text;
  if (id_bytes != text.size() || std::memcmp(id, text.data(), text.size()) != 0) return 0;
  *session = session_of_key(ssl, *expected.key);
  return *session != nullptr ? 1 : 0;
}

CtxHandle make_context(const SSL_METHOD* method) {
  CtxHandle context(SSL_CTX_new(method));
  DROVER_CHECK(context != nullptr);
  SSL_CTX* c = context.get();
  DROVER_CHECK(SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) == 1);
  DROVER_CHECK(SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION) == 1);
  DROVER_CHECK(SSL_CTX_set_ciphersuites(c, kSuites) == 1);
  DROVER_CHECK(SSL_CTX_set1_groups_list(c, "X25519") == 1);
  DROVER_CHECK(SSL_CTX_set_num_tickets(c, 0) == 1);
  SSL_CTX_set_max_early_data(c, 0);
  SSL_CTX_set_recv_max_early_data(c, 0);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  return context;
}

}  // namespace

PskKey::PskKey() { ::mlock(bytes_.data(), bytes_.size()); }

PskKey::PskKey(const std::array<std::uint8_t, kBytes>& bytes) : PskKey() { bytes_ = bytes; }

PskKey::~PskKey() {
  OPENSSL_cleanse(bytes_.data(), bytes_.size());
  ::munlock(bytes_.data(), bytes_.size());
}

Result<std::unique_ptr<PskKey>> PskKey::read(int fd) {
  std::unique_ptr<PskKey> key(new PskKey);
  std::uint8_t beyond = 0;
  const bool whole = ::pread(fd, key->bytes_.data(), kBytes, 0) == static_cast<ssize_t>(kBytes);
  if (!whole || ::pread(fd, &beyond, 1, kBytes) != 0) {
    return fail(ErrorCode::kInvalidArgument, "The key of the move does not have {} bytes.", kBytes);
  }
  return key;
}

LinkIdentity LinkIdentity::of(std::string_view move_identity, std::uint32_t link) {
  return {fmt::format("{} link {} source dials", move_identity, link)};
}

void SslDeleter::operator()(ssl_st* ssl) const { SSL_free(ssl); }

struct PskTls::Context {
  std::unique_ptr<PskKey> key;
  std::string move_identity;
  CtxHandle client;
  CtxHandle server;
};

PskTls::PskTls(std::unique_ptr<PskKey> key, std::string move_identity)
    : context_(new Context{std::move(key), std::move(move_identity),
                           make_context(TLS_client_method()), make_context(TLS_server_method())}) {
  // No certificate is trusted: a server that shows one instead of the key fails here.
  SSL_CTX_set_verify(context_->client.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_psk_use_session_callback(context_->client.get(), offer_key);
  SSL_CTX_set_psk_find_session_callback(context_->server.get(), find_key);
}

PskTls::~PskTls() = default;

Result<SslHandle> PskTls::open(Role role, std::uint32_t link) const {
  const bool client = role == Role::kSource;
  SslHandle ssl(SSL_new(client ? context_->client.get() : context_->server.get()));
  if (!ssl) return fail(ErrorCode::kInternal, "Cannot set up TLS: {}.", tls_error_text());
  SSL_set_ex_data(
      ssl.get(), expected_index(),
      new Expected{context_->key.get(), LinkIdentity::of(context_->move_identity, link)});
  if (client)
    SSL_set_connect_state(ssl.get());
  else
    SSL_set_accept_state(ssl.get());
  return ssl;
}

Status check_proven(ssl_st* ssl) {
  if (SSL_version(ssl) != TLS1_3_VERSION || SSL_session_reused(ssl) != 1) {
    return fail(ErrorCode::kUnauthenticated,
                "The other mover did not prove that it knows the key of the move.");
  }
  return {};
}

std::string tls_error_text() {
  std::string text;
  while (const unsigned long code = ERR_get_error()) {
    const char* reason = ERR_reason_error_string(code);
    if (reason != nullptr) text += fmt::format("{}{}", text.empty() ? "" : ", ", reason);
  }
  return text.empty() ? "no reason given" : text;
}

}  // namespace drover::mover
