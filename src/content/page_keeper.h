// SPDX-License-Identifier: Apache-2.0
// Keeps the pages that a source's mover sends in a file, encrypted, for the VM's way back
// (docs/residue.md). One thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/unique_fd.h"
#include "content/page_cipher.h"

namespace drover::content {

class PageKeeper {
 public:
  PageKeeper(UniqueFd file, const PageKey& key)
      : file_(std::move(file)), cipher_(key, PageCipher::Does::kEncrypts) {}

  // This is page number `page` from now on. After the first that cannot be written nothing is.
  void keep(std::uint64_t page, std::span<const std::uint8_t, kBlockBytes> content);

 private:
  UniqueFd file_;  // none: something went wrong
  PageCipher cipher_;
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(kBlockBytes);
};

}  // namespace drover::content
