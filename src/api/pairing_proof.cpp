// SPDX-License-Identifier: Apache-2.0
#include "api/pairing_proof.h"

#include "base/random.h"
#include "net/digest.h"

namespace drover::api {

std::string pairing_proof(std::string_view role, std::string_view channel_binding,
                          std::string_view host_key, std::string_view newcomer_key) {
  return fmt::format("drover pairing v1\n{}\n{}\n{}\n{}\n", role, net::sha256_hex(channel_binding),
                     host_key, newcomer_key);
}

std::string sign_hex(const net::HostIdentity& identity, std::string_view text) {
  const std::string raw = identity.sign(text);
  return to_hex(std::span(reinterpret_cast<const std::uint8_t*>(raw.data()), raw.size()));
}

bool verify_hex(std::string_view key, std::string_view text, std::string_view signature_hex) {
  const auto raw = from_hex(signature_hex);
  return raw && net::verify_signature(key, text,
                                      {reinterpret_cast<const char*>(raw->data()), raw->size()});
}

}  // namespace drover::api
