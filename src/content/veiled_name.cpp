// SPDX-License-Identifier: Apache-2.0
#include "content/veiled_name.h"

#include <algorithm>
#include <array>

#include <openssl/sha.h>

namespace drover::content {

Name veiled(const Name& name) {
  std::array<std::uint8_t, SHA256_DIGEST_LENGTH> whole;
  SHA256(name.data(), name.size(), whole.data());
  Name veil;
  std::copy_n(whole.begin(), veil.size(), veil.begin());
  return veil;
}

}  // namespace drover::content
