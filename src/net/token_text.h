// SPDX-License-Identifier: Apache-2.0
// The text of a user's token: "drover_KEY_SECRET", where KEY is the server's public key, so that
// whoever holds a token also knows which server may see it. Pure functions; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/random.h"
#include "net/host_identity.h"

namespace drover::net {

// 160 random bits.
inline std::string make_token(std::string_view server_key) {
  return fmt::format("drover_{}_{}", server_key, random_name(32));
}

// Nothing: not a token of ours.
inline std::optional<std::string> server_key_of_token(std::string_view token) {
  constexpr std::string_view kStart = "drover_";
  if (!token.starts_with(kStart) || token.size() < kStart.size() + 65) return std::nullopt;
  const std::string_view key = token.substr(kStart.size(), 64);
  if (!is_public_key(key) || token[kStart.size() + 64] != '_') return std::nullopt;
  return std::string(key);
}

}  // namespace drover::net
