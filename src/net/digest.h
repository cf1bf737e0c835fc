// SPDX-License-Identifier: Apache-2.0
// SHA-256, key derivation and comparison that takes the same time whatever it finds. Pure
// functions; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace drover::net {

using Digest = std::array<std::uint8_t, 32>;

Digest sha256(std::string_view bytes);
std::string sha256_hex(std::string_view bytes);
// HKDF-SHA256 (RFC 5869) with an empty salt; `purpose` is the info, one per use of a secret.
Digest derive_key(std::string_view secret, std::string_view purpose);
bool same_secret(std::string_view a, std::string_view b);

}  // namespace drover::net
