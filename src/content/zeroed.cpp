// SPDX-License-Identifier: Apache-2.0
#include "content/zeroed.h"

#include <cstdint>

#include <sys/mman.h>

#include "base/error.h"

namespace drover::content {
namespace {

constexpr std::size_t kHugePageBytes = 2u << 20;

// A hint, of the whole huge pages in it. So large a piece is a mapping of its own.
void ask_for_huge_pages(void* bytes, std::size_t size) {
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes);
  const std::uintptr_t first = (begin + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  const std::uintptr_t end = (begin + size) / kHugePageBytes * kHugePageBytes;
  if (first < end) ::madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
}

}  // namespace

// calloc: the kernel gives a page only when it is first written.
void* zeroed_bytes(std::size_t count, std::size_t each) {
  void* const bytes = std::calloc(count, each);
  DROVER_CHECK(bytes != nullptr);
  ask_for_huge_pages(bytes, count * each);
  return bytes;
}

}  // namespace drover::content
