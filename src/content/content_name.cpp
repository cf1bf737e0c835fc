// SPDX-License-Identifier: Apache-2.0
#include "content/content_name.h"

#include <algorithm>

#include <openssl/evp.h>

#include "base/error.h"

namespace drover::content {

void Namer::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }
void Namer::Free::operator()(evp_md_st* digest) const { EVP_MD_free(digest); }

Namer::Namer(const ContentKey& key)
    : digest_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {
  DROVER_CHECK(digest_ != nullptr && context_ != nullptr);
  std::copy(key.begin(), key.end(), key_block_.begin());
}

Name Namer::name(std::span<const std::uint8_t, kBlockBytes> block) const {
  std::array<std::uint8_t, 32> whole;
  DROVER_CHECK(EVP_DigestInit_ex2(context_.get(), digest_.get(), nullptr) == 1 &&
               EVP_DigestUpdate(context_.get(), key_block_.data(), key_block_.size()) == 1 &&
               EVP_DigestUpdate(context_.get(), block.data(), block.size()) == 1 &&
               EVP_DigestFinal_ex(context_.get(), whole.data(), nullptr) == 1);
  Name name;
  std::copy_n(whole.begin(), name.size(), name.begin());
  return name;
}

}  // namespace drover::content
