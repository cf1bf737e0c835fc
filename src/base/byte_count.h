// SPDX-License-Identifier: Apache-2.0
// Sizes and rates as types. Values only.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace drover {

struct ByteCount {
  std::uint64_t bytes = 0;

  constexpr auto operator<=>(const ByteCount&) const = default;
  constexpr ByteCount operator+(ByteCount other) const { return {bytes + other.bytes}; }
  // Saturates at zero.
  constexpr ByteCount operator-(ByteCount other) const {
    return {bytes > other.bytes ? bytes - other.bytes : 0};
  }
  constexpr ByteCount& operator+=(ByteCount other) {
    bytes += other.bytes;
    return *this;
  }
};

constexpr ByteCount kib(std::uint64_t n) { return {n << 10}; }
constexpr ByteCount mib(std::uint64_t n) { return {n << 20}; }
constexpr ByteCount gib(std::uint64_t n) { return {n << 30}; }

struct BytesPerSecond {
  std::uint64_t value = 0;
  constexpr auto operator<=>(const BytesPerSecond&) const = default;
};

// "1.5 GiB", "547 MiB", "12 bytes": for people.
std::string to_text(ByteCount size);
// "112 MiB/s".
std::string to_text(BytesPerSecond rate);
// Reads "512M", "1.5GiB", "4096": binary units; a bare number is bytes.
Result<ByteCount> parse_byte_count(std::string_view text);

}  // namespace drover
