// SPDX-License-Identifier: Apache-2.0
#include "content/page_cipher.h"

#include <openssl/evp.h>

namespace drover::content {

void PageCipher::Free::operator()(evp_cipher_ctx_st* context) const {
  EVP_CIPHER_CTX_free(context);
}

PageCipher::PageCipher(const PageKey& key, Does does) : context_(EVP_CIPHER_CTX_new()) {
  DROVER_CHECK(context_ != nullptr &&
               EVP_CipherInit_ex2(context_.get(), EVP_aes_256_xts(), key.data(), nullptr,
                                  does == Does::kEncrypts ? 1 : 0, nullptr) == 1);
}

void PageCipher::apply(std::uint64_t page, std::span<const std::uint8_t> from,
                       std::span<std::uint8_t> to) {
  DROVER_CHECK(from.size() == kBlockBytes && to.size() == kBlockBytes);
  // The sector's number, lowest byte first, as IEEE 1619 has it.
  std::array<std::uint8_t, 16> sector{};
  for (std::size_t i = 0; i < 8; ++i) sector[i] = static_cast<std::uint8_t>(page >> (8 * i));
  int done = 0;
  DROVER_CHECK(EVP_CipherInit_ex2(context_.get(), nullptr, nullptr, sector.data(), -1, nullptr) ==
                   1 &&
               EVP_CipherUpdate(context_.get(), to.data(), &done, from.data(),
                                static_cast<int>(kBlockBytes)) == 1 &&
               done == static_cast<int>(kBlockBytes));
}

}  // namespace drover::content
