// SPDX-License-Identifier: Apache-2.0
// TLS 1.3 as Drover uses it: no certificate authority, no names, no dates, no tickets, no early
// data. A peer is its raw Ed25519 key; a newcomer is the external PSK of an invite, always with
// (EC)DHE. Contexts: any thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/deadline.h"
#include "base/error.h"
#include "base/unique_fd.h"
#include "net/byte_stream.h"
#include "net/digest.h"
#include "net/host_identity.h"
#include "net/invite_code.h"

struct ssl_ctx_st;
struct ssl_st;

namespace drover::net {

// The key of a PSK identity that a client offers; nothing: unknown. Called from any thread.
using PskLookup = std::function<std::optional<Digest>(std::string_view identity)>;

// A TLS session on a socket. Its bytes are authenticated as said by peer_key() and psk_identity().
class TlsStream : public ByteStream {
 public:
  // The key the other side proved to hold; empty: it showed no certificate.
  virtual const std::string& peer_key() const = 0;
  // The identity of the PSK that keyed this session; empty: none did.
  virtual const std::string& psk_identity() const = 0;
  // 32 bytes that only the two ends of this very session know (RFC 8446, 7.5).
  virtual std::string channel_binding() const = 0;
};

class TlsServerContext {
 public:
  TlsServerContext(const HostIdentity& identity, PskLookup lookup);
  ~TlsServerContext();
  TlsServerContext(const TlsServerContext&) = delete;
  TlsServerContext& operator=(const TlsServerContext&) = delete;
  // Asks for a client certificate and takes any Ed25519 key, or none: who may do what is decided by
  // peer_key().
  Result<std::unique_ptr<TlsStream>> accept(UniqueFd socket, Deadline deadline) const;

 private:
  const HostIdentity identity_;
  const PskLookup lookup_;
  std::shared_ptr<ssl_ctx_st> context_;
};

class TlsClientContext {
 public:
  // Without an identity no certificate is shown: users with a token, newcomers.
  explicit TlsClientContext(const HostIdentity* identity);
  // kUnauthenticated: the server holds another key than `server_key` (hex).
  Result<std::unique_ptr<TlsStream>> connect(UniqueFd socket, std::string_view server_key,
                                             Deadline deadline) const;
  // kUnauthenticated: the server does not know the invite's code (any more). No certificate is
  // taken instead.
  Result<std::unique_ptr<TlsStream>> connect(UniqueFd socket, const InviteSecret& secret,
                                             Deadline deadline) const;

 private:
  std::shared_ptr<ssl_ctx_st> context_;
};

}  // namespace drover::net
