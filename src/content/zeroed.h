// SPDX-License-Identifier: Apache-2.0
// Memory of zeroes for large tables: taken as it fills, and in huge pages where the kernel gives
// them, for what is looked up at random else waits for the processor's address tables.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace drover::content {

struct FreeZeroed {
  void operator()(void* bytes) const { std::free(bytes); }
};
template <typename T>
using Zeroed = std::unique_ptr<T[], FreeZeroed>;

// Never null. Any thread.
void* zeroed_bytes(std::size_t count, std::size_t each);

template <typename T>
Zeroed<T> zeroed(std::size_t count) {
  return Zeroed<T>(static_cast<T*>(zeroed_bytes(count, sizeof(T))));
}

}  // namespace drover::content
