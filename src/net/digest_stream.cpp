// SPDX-License-Identifier: Apache-2.0
#include "net/digest_stream.h"

#include <openssl/evp.h>

#include "base/error.h"

namespace drover::net {

struct DigestStream::Context {
  EVP_MD_CTX* const of = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(of); }
};

DigestStream::DigestStream() : context_(std::make_unique<Context>()) {
  DROVER_CHECK(context_->of != nullptr);
  DROVER_CHECK(EVP_DigestInit_ex(context_->of, EVP_sha256(), nullptr) == 1);
}

DigestStream::~DigestStream() = default;

void DigestStream::add(std::string_view bytes) {
  DROVER_CHECK(EVP_DigestUpdate(context_->of, bytes.data(), bytes.size()) == 1);
}

Digest DigestStream::end() {
  Digest out;
  unsigned size = 0;
  DROVER_CHECK(EVP_DigestFinal_ex(context_->of, out.data(), &size) == 1);
  DROVER_CHECK(size == out.size());
  return out;
}

}  // namespace drover::net
