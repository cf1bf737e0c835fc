// SPDX-License-Identifier: Apache-2.0
#include "content/stream_digest.h"

#include <array>

#include <openssl/evp.h>

namespace drover::content {

void StreamDigest::ContextDeleter::operator()(evp_md_ctx_st* context) const {
  EVP_MD_CTX_free(context);
}

StreamDigest::StreamDigest() : context_(EVP_MD_CTX_new()) {
  good_ = context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1;
}

StreamDigest::~StreamDigest() = default;
StreamDigest::StreamDigest(StreamDigest&&) noexcept = default;
StreamDigest& StreamDigest::operator=(StreamDigest&&) noexcept = default;

void StreamDigest::add(std::span<const std::uint8_t> bytes) {
  good_ = good_ && EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1;
}

Result<std::string> StreamDigest::text() {
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  good_ = good_ && EVP_DigestFinal_ex(context_.get(), digest.data(), &length) == 1;
  if (!good_) return fail(ErrorCode::kInternal, "OpenSSL computes no SHA-256.");
  good_ = false;
  std::string text;
  for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace drover::content
