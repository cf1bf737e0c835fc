// SPDX-License-Identifier: Apache-2.0
// Random bytes from the kernel, and names made of them. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace drover {

// Fills from getrandom(2); aborts if the kernel has none to give.
void fill_random(std::span<std::uint8_t> out);
// Lower-case Crockford base32 (no i, l, o, u), 5 bits a character.
std::string random_name(std::size_t characters);
std::string to_hex(std::span<const std::uint8_t> bytes);
Result<std::vector<std::uint8_t>> from_hex(std::string_view text);

}  // namespace drover
