// SPDX-License-Identifier: Apache-2.0
// The SHA-256 of bytes that pass by, in their order. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/error.h"

struct evp_md_ctx_st;

namespace drover::content {

class StreamDigest {
 public:
  StreamDigest();
  ~StreamDigest();
  StreamDigest(StreamDigest&&) noexcept;
  StreamDigest& operator=(StreamDigest&&) noexcept;

  void add(std::span<const std::uint8_t> bytes);
  // 64 hex digits, of all so far. Once: nothing is added afterwards. kInternal: OpenSSL fails.
  Result<std::string> text();

 private:
  struct ContextDeleter {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, ContextDeleter> context_;
  bool good_ = false;
};

}  // namespace drover::content
