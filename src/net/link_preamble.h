// SPDX-License-Identifier: Apache-2.0
// The clear preamble of a link: docs/mover_protocol.md, "Preamble". Plain values; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "base/error.h"

namespace drover::net {

inline constexpr std::size_t kPreambleBytes = 28;
inline constexpr std::uint16_t kPreambleVersion = 1;
inline constexpr std::size_t kMoveIdBytesMax = 16;
inline constexpr std::uint16_t kPreambleLinkMax = 64;

struct LinkPreamble {
  std::string move_id;     // 1 to 16 lower-case letters and digits
  std::uint16_t link = 0;  // 1 to 64

  bool operator==(const LinkPreamble&) const = default;
};

// kInvalidArgument when a field is out of its bounds.
Result<std::array<std::uint8_t, kPreambleBytes>> encode_preamble(const LinkPreamble& preamble);
// kProtocol for anything but a preamble of ours.
Result<LinkPreamble> decode_preamble(std::span<const std::uint8_t, kPreambleBytes> bytes);

}  // namespace drover::net
