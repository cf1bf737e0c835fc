// SPDX-License-Identifier: Apache-2.0
// An enumeration and its stable names, as a table. For the .cpp files that have one. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

namespace drover {

template <typename T, std::size_t N>
using NameTable = std::array<std::pair<T, std::string_view>, N>;

// "unknown" of a value that the table lacks.
template <typename T, std::size_t N>
constexpr std::string_view name_in(const NameTable<T, N>& table, T value) {
  for (const auto& [key, name] : table) {
    if (key == value) return name;
  }
  return "unknown";
}

template <typename T, std::size_t N>
constexpr std::optional<T> value_in(const NameTable<T, N>& table, std::string_view text) {
  for (const auto& [key, name] : table) {
    if (name == text) return key;
  }
  return std::nullopt;
}

}  // namespace drover
