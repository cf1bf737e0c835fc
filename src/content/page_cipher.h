// SPDX-License-Identifier: Apache-2.0
// The encryption of guest memory that is kept in a file (docs/residue.md): AES-256-XTS, a page is a
// sector. It hides; it does not prove: what is read is verified by its name. One thread each.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "base/error.h"
#include "content/batch.h"

struct evp_cipher_ctx_st;

namespace drover::content {

using PageKey = std::array<std::uint8_t, 64>;  // random: both halves must differ

class PageCipher {
 public:
  enum class Does { kEncrypts, kDecrypts };
  PageCipher(const PageKey& key, Does does);

  // `from` and `to` have kBlockBytes each and may be the same.
  void apply(std::uint64_t page, std::span<const std::uint8_t> from, std::span<std::uint8_t> to);

 private:
  struct Free {
    void operator()(evp_cipher_ctx_st* context) const;
  };
  std::unique_ptr<evp_cipher_ctx_st, Free> context_;
};

}  // namespace drover::content
