// SPDX-License-Identifier: Apache-2.0
// The key of a move and the TLS 1.3 settings made of it: docs/mover_protocol.md, "TLS". OpenSSL
// stays inside.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "mover/hello.h"

struct ssl_st;  // SSL of OpenSSL

namespace drover::mover {

// 32 secret bytes, kept out of swap and wiped when this goes. Not copied.
class PskKey {
 public:
  static constexpr std::size_t kBytes = 32;
  // Reads the whole descriptor (a memfd) from its start; kInvalidArgument unless it has exactly 32
  // bytes.
  static Result<std::unique_ptr<PskKey>> read(int fd);
  explicit PskKey(const std::array<std::uint8_t, kBytes>& bytes);
  ~PskKey();
  PskKey(const PskKey&) = delete;
  PskKey& operator=(const PskKey&) = delete;

  const std::array<std::uint8_t, kBytes>& bytes() const { return bytes_; }

 private:
  PskKey();
  std::array<std::uint8_t, kBytes> bytes_{};
};

// What a link must prove.
struct LinkIdentity {
  std::string text;  // the PSK identity

  static LinkIdentity of(std::string_view move_identity, std::uint32_t link);
};

struct SslDeleter {
  void operator()(ssl_st* ssl) const;
};
using SslHandle = std::unique_ptr<ssl_st, SslDeleter>;

// Makes TLS connections that accept this key and nothing else. Any thread.
class PskTls {
 public:
  // Loads all that OpenSSL loads lazily: after this no file is opened.
  PskTls(std::unique_ptr<PskKey> key, std::string move_identity);
  ~PskTls();
  PskTls(const PskTls&) = delete;
  PskTls& operator=(const PskTls&) = delete;

  // The source is the client. The result refers to this object: it must not outlive it. The caller
  // sets the BIOs.
  Result<SslHandle> open(Role role, std::uint32_t link) const;

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// After a handshake: TLS 1.3, and by the key, not by a certificate.
Status check_proven(ssl_st* ssl);
// OpenSSL's own words for what went wrong last on this thread.
std::string tls_error_text();

}  // namespace drover::mover
