// SPDX-License-Identifier: Apache-2.0
// Big-endian integers in byte buffers: libvirt's XDR, QEMU's streams, NBD and our own frames all
// use it.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>

namespace drover {

template <std::unsigned_integral T>
constexpr T swap_if_little(T value) {
  if constexpr (std::endian::native == std::endian::big || sizeof(T) == 1)
    return value;
  else if constexpr (sizeof(T) == 2)
    return static_cast<T>(__builtin_bswap16(value));
  else if constexpr (sizeof(T) == 4)
    return static_cast<T>(__builtin_bswap32(value));
  else
    return static_cast<T>(__builtin_bswap64(value));
}

// REQUIRES: sizeof(T) readable bytes at `from`.
template <std::unsigned_integral T>
T load_be(const std::uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return swap_if_little(value);
}

// REQUIRES: sizeof(T) writable bytes at `to`.
template <std::unsigned_integral T>
void store_be(std::uint8_t* to, T value) {
  value = swap_if_little(value);
  std::memcpy(to, &value, sizeof value);
}

}  // namespace drover
