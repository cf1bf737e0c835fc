// SPDX-License-Identifier: Apache-2.0
// Names of content: AES-256-GMAC of the block under the scope's key, with one nonce for all
// (docs/mover_protocol.md, "Content", says why that is enough, and decision 0006 why it is not
// SHA-256). One thread each.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "content/batch.h"
#include "content/ops.h"
#include "content/source_content.h"

struct evp_cipher_ctx_st;

namespace drover::content {

// Nothing but zeros.
inline bool is_zero(std::span<const std::uint8_t> bytes) {
  return bytes[0] == 0 && std::equal(bytes.begin() + 1, bytes.end(), bytes.begin());
}

class Namer {
 public:
  explicit Namer(const ContentKey& key);

  Name name(std::span<const std::uint8_t, kBlockBytes> block) const;

 private:
  struct Free {
    void operator()(evp_cipher_ctx_st* context) const;
  };
  std::unique_ptr<evp_cipher_ctx_st, Free> context_;  // has the key
};

}  // namespace drover::content
