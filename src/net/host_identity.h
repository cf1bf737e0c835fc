// SPDX-License-Identifier: Apache-2.0
// A host's Ed25519 key: its only identity towards peers, made at first start. The certificate that
// TLS asks for is made from it in memory at each start; nobody reads its names or dates. Any
// thread; immutable once made.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

struct evp_pkey_st;
struct x509_st;

namespace drover::net {

class HostIdentity {
 public:
  // Reads `path` (PEM), or makes a key and writes it there (0600) first. kCorrupt: not an Ed25519
  // key. kPermission: others may read it; the message says the fix.
  static Result<HostIdentity> load_or_make(const std::filesystem::path& path);
  // Lives in memory only: for tests.
  static Result<HostIdentity> make();

  // 64 hex digits.
  const std::string& public_key() const { return public_key_; }
  // 64 raw bytes.
  std::string sign(std::string_view message) const;

  evp_pkey_st* key() const { return key_.get(); }
  x509_st* certificate() const { return certificate_.get(); }

 private:
  using Key = std::shared_ptr<evp_pkey_st>;
  explicit HostIdentity(Key key);

  Key key_;
  std::shared_ptr<x509_st> certificate_;
  std::string public_key_;
};

// False also for a key that is none.
bool verify_signature(std::string_view public_key_hex, std::string_view message,
                      std::string_view signature);
bool is_public_key(std::string_view hex);
// The Ed25519 key of a certificate in hex; empty: of another kind.
std::string public_key_of(const x509_st* certificate);

}  // namespace drover::net
