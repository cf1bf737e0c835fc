// SPDX-License-Identifier: Apache-2.0
#include "content/content_name.h"

#include <openssl/evp.h>

#include "base/error.h"

namespace drover::content {
namespace {

constexpr std::array<std::uint8_t, 12> kNonce{};

}  // namespace

void Namer::Free::operator()(evp_cipher_ctx_st* context) const { EVP_CIPHER_CTX_free(context); }

Namer::Namer(const ContentKey& key) : context_(EVP_CIPHER_CTX_new()) {
  static_assert(std::tuple_size_v<ContentKey> == 32);
  DROVER_CHECK(context_ != nullptr && EVP_EncryptInit_ex2(context_.get(), EVP_aes_256_gcm(),
                                                          key.data(), nullptr, nullptr) == 1);
}

Name Namer::name(std::span<const std::uint8_t, kBlockBytes> block) const {
  Name name;
  int written = 0;
  DROVER_CHECK(EVP_EncryptInit_ex2(context_.get(), nullptr, nullptr, kNonce.data(), nullptr) == 1 &&
               EVP_EncryptUpdate(context_.get(), nullptr, &written, block.data(), kBlockBytes) ==
                   1 &&
               EVP_EncryptFinal_ex(context_.get(), nullptr, &written) == 1 &&
               EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG,
                                   static_cast<int>(name.size()), name.data()) == 1);
  return name;
}

}  // namespace drover::content
