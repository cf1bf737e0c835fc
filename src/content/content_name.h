// SPDX-License-Identifier: Apache-2.0
// Names of content: SHA-256 of the scope's key and the block, truncated to 16 bytes
// (docs/mover_protocol.md, "Content", says why so many). One thread each.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "content/batch.h"
#include "content/ops.h"
#include "content/source_content.h"

struct evp_md_ctx_st;
struct evp_md_st;

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
    void operator()(evp_md_ctx_st* context) const;
    void operator()(evp_md_st* digest) const;
  };
  std::array<std::uint8_t, 64> key_block_{};  // SHA-256's block size: the key, then zeros
  std::unique_ptr<evp_md_st, Free> digest_;
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

}  // namespace drover::content
