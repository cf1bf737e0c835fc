// SPDX-License-Identifier: Apache-2.0
// SHA-256 of bytes that come one part after another. One thread.
#pragma once

#include <memory>
#include <string_view>

#include "net/digest.h"

namespace drover::net {

class DigestStream {
 public:
  DigestStream();
  ~DigestStream();
  DigestStream(const DigestStream&) = delete;
  DigestStream& operator=(const DigestStream&) = delete;

  void add(std::string_view bytes);
  // Of all that was added. Call once, last.
  Digest end();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace drover::net
