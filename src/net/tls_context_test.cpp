// SPDX-License-Identifier: Apache-2.0
#include "net/tls_context.h"

#include <future>

#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "net/unix_socket.h"

namespace drover::net {
namespace {

using namespace std::chrono_literals;
using Stream = Result<std::unique_ptr<TlsStream>>;

struct Ends {
  Stream server, client;
};

class TlsTest : public ::testing::Test {
 protected:
  template <typename Connect>
  Ends meet(Connect connect) {
    auto pair = *socket_pair(SocketKind::kStream);
    TlsServerContext context(server_, [this](std::string_view identity) { return find(identity); });
    auto server = std::async(std::launch::async, [&] {
      return context.accept(std::move(pair.first), Deadline::after(5s));
    });
    Stream client = connect(std::move(pair.second));
    return {server.get(), std::move(client)};
  }
  std::optional<Digest> find(std::string_view identity) const {
    if (invite_ && identity == invite_->identity) return invite_->key;
    return {};
  }
  static std::string hear(TlsStream& stream) {
    char buffer[64];
    const auto n = stream.read(buffer, Deadline::after(2s));
    return n ? std::string(buffer, *n) : n.error().message;
  }

  const HostIdentity server_ = *HostIdentity::make();
  const HostIdentity client_ = *HostIdentity::make();
  std::optional<InviteSecret> invite_;
};

TEST_F(TlsTest, BothSidesLearnTheOthersKey) {
  auto ends = meet([&](UniqueFd fd) {
    return TlsClientContext(&client_).connect(std::move(fd), server_.public_key(),
                                              Deadline::after(5s));
  });
  ASSERT_TRUE(ends.server && ends.client);
  EXPECT_EQ((*ends.server)->peer_key(), client_.public_key());
  EXPECT_EQ((*ends.client)->peer_key(), server_.public_key());
  EXPECT_EQ((*ends.server)->channel_binding(), (*ends.client)->channel_binding());
  ASSERT_TRUE((*ends.client)->write("hello", Deadline::after(1s)));
  EXPECT_EQ(hear(**ends.server), "hello");
  ends.client->reset();
  EXPECT_EQ(hear(**ends.server), "");
}

TEST_F(TlsTest, ClientNeedsNoKey) {
  auto ends = meet([&](UniqueFd fd) {
    return TlsClientContext(nullptr).connect(std::move(fd), server_.public_key(),
                                             Deadline::after(5s));
  });
  ASSERT_TRUE(ends.server && ends.client);
  EXPECT_EQ((*ends.server)->peer_key(), "");
}

TEST_F(TlsTest, ClientRefusesAnotherKey) {
  auto ends = meet([&](UniqueFd fd) {
    return TlsClientContext(&client_).connect(std::move(fd), client_.public_key(),
                                              Deadline::after(5s));
  });
  ASSERT_FALSE(ends.client);
  EXPECT_EQ(ends.client.error().code, ErrorCode::kUnauthenticated);
  EXPECT_FALSE(ends.server);
}

TEST_F(TlsTest, InviteKeysTheSession) {
  invite_ = *read_invite_code(make_invite_code());
  auto ends = meet([&](UniqueFd fd) {
    return TlsClientContext(nullptr).connect(std::move(fd), *invite_, Deadline::after(5s));
  });
  ASSERT_TRUE(ends.server) << ends.server.error().text();
  ASSERT_TRUE(ends.client) << ends.client.error().text();
  EXPECT_EQ((*ends.server)->psk_identity(), invite_->identity);
  EXPECT_EQ((*ends.client)->psk_identity(), invite_->identity);
  EXPECT_EQ((*ends.server)->peer_key(), "");
  EXPECT_EQ((*ends.server)->channel_binding(), (*ends.client)->channel_binding());
  ASSERT_TRUE((*ends.client)->write("hello", Deadline::after(1s)));
  EXPECT_EQ(hear(**ends.server), "hello");
}

TEST_F(TlsTest, UnknownInviteIsNoFallbackToCertificates) {
  const auto other = *read_invite_code(make_invite_code());
  auto ends = meet([&](UniqueFd fd) {
    return TlsClientContext(nullptr).connect(std::move(fd), other, Deadline::after(5s));
  });
  ASSERT_FALSE(ends.client);
  EXPECT_EQ(ends.client.error().code, ErrorCode::kUnauthenticated);
}

TEST_F(TlsTest, RightIdentityWithAWrongKeyIsRefused) {
  invite_ = *read_invite_code(make_invite_code());
  InviteSecret guess = *invite_;
  guess.key[0] ^= 1;
  auto ends = meet([&](UniqueFd fd) {
    return TlsClientContext(nullptr).connect(std::move(fd), guess, Deadline::after(5s));
  });
  EXPECT_FALSE(ends.server);
  ASSERT_FALSE(ends.client);
  EXPECT_EQ(ends.client.error().code, ErrorCode::kUnauthenticated);
}

TEST_F(TlsTest, GarbageAndSilenceEndWithinTheDeadline) {
  auto pair = *socket_pair(SocketKind::kStream);
  const TlsServerContext context(server_, nullptr);
  ASSERT_EQ(::write(pair.second.get(), "GET / HTTP/1.1\r\n\r\n", 18), 18);
  EXPECT_EQ(context.accept(std::move(pair.first), Deadline::after(2s)).error().code,
            ErrorCode::kProtocol);
  auto silent = *socket_pair(SocketKind::kStream);
  EXPECT_EQ(context.accept(std::move(silent.first), Deadline::after(20ms)).error().code,
            ErrorCode::kTimeout);
}

// A host whose clock stands in 1970, or whose certificate "ended" long ago, is the same host.
TEST_F(TlsTest, DatesOfCertificatesMeanNothing) {
  const std::unique_ptr<X509, decltype(&X509_free)> lapsed(X509_new(), X509_free);
  ASN1_TIME_set_string_X509(X509_getm_notBefore(lapsed.get()), "19700101000000Z");
  ASN1_TIME_set_string_X509(X509_getm_notAfter(lapsed.get()), "19700102000000Z");
  X509_set_pubkey(lapsed.get(), client_.key());
  ASSERT_GT(X509_sign(lapsed.get(), client_.key(), nullptr), 0);
  auto ends = meet([&](UniqueFd fd) -> Stream {
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(
        SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    SSL_CTX_use_certificate(context.get(), lapsed.get());
    SSL_CTX_use_PrivateKey(context.get(), client_.key());
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
    SSL_set_fd(ssl.get(), fd.get());
    EXPECT_EQ(SSL_connect(ssl.get()), 1);
    return fail(ErrorCode::kCancelled, "not needed");
  });
  ASSERT_TRUE(ends.server) << ends.server.error().text();
  EXPECT_EQ((*ends.server)->peer_key(), client_.public_key());
}

TEST_F(TlsTest, OlderVersionsAreRefused) {
  auto ends = meet([&](UniqueFd fd) -> Stream {
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(
        SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
    SSL_set_fd(ssl.get(), fd.get());
    EXPECT_NE(SSL_connect(ssl.get()), 1);
    return fail(ErrorCode::kProtocol, "refused");
  });
  EXPECT_FALSE(ends.server);
}

}  // namespace
}  // namespace drover::net
