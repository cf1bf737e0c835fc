// SPDX-License-Identifier: Apache-2.0
// How each half of a pairing proves that it holds its key; docs/pairing.md has the text. Pure
// functions; any thread.
#pragma once

#include <string>
#include <string_view>

#include "net/host_identity.h"

namespace drover::api {

inline constexpr int kPairingProtocol = 1;

// What is signed: the role ("host" or "newcomer"), this very TLS session, and both keys. A
// signature made for one session, role or pair of keys is of no use in another.
std::string pairing_proof(std::string_view role, std::string_view channel_binding,
                          std::string_view host_key, std::string_view newcomer_key);
std::string sign_hex(const net::HostIdentity& identity, std::string_view text);
bool verify_hex(std::string_view key, std::string_view text, std::string_view signature_hex);

}  // namespace drover::api
