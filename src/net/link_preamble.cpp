// SPDX-License-Identifier: Apache-2.0
#include "net/link_preamble.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/big_endian.h"

namespace drover::net {
namespace {

constexpr std::string_view kMagic = "DROVERML";

bool is_move_id(std::string_view id) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !id.empty() && id.size() <= kMoveIdBytesMax && std::ranges::all_of(id, allowed);
}

bool is_link(std::uint16_t link) { return link >= 1 && link <= kPreambleLinkMax; }

}  // namespace

Result<std::array<std::uint8_t, kPreambleBytes>> encode_preamble(const LinkPreamble& preamble) {
  if (!is_move_id(preamble.move_id) || !is_link(preamble.link)) {
    return fail(ErrorCode::kInvalidArgument, "A link cannot be called {} of the move '{}'.",
                preamble.link, preamble.move_id);
  }
  std::array<std::uint8_t, kPreambleBytes> bytes{};
  std::memcpy(&bytes[0], kMagic.data(), kMagic.size());
  store_be(&bytes[8], kPreambleVersion);
  store_be(&bytes[10], preamble.link);
  std::memcpy(&bytes[12], preamble.move_id.data(), preamble.move_id.size());
  return bytes;
}

Result<LinkPreamble> decode_preamble(std::span<const std::uint8_t, kPreambleBytes> bytes) {
  if (std::memcmp(&bytes[0], kMagic.data(), kMagic.size()) != 0) {
    return fail(ErrorCode::kProtocol, "Something that is no Drover connected to the mover port.");
  }
  if (const auto version = load_be<std::uint16_t>(&bytes[8]); version != kPreambleVersion) {
    return fail(ErrorCode::kProtocol, "A link came with preamble version {}; {} is known here.",
                version, kPreambleVersion);
  }
  LinkPreamble preamble;
  preamble.link = load_be<std::uint16_t>(&bytes[10]);
  const std::string_view field(reinterpret_cast<const char*>(&bytes[12]), kMoveIdBytesMax);
  const std::size_t length = std::min(field.find('\0'), field.size());
  preamble.move_id = field.substr(0, length);
  const bool padded = field.substr(length).find_first_not_of('\0') == std::string_view::npos;
  if (!padded || !is_move_id(preamble.move_id) || !is_link(preamble.link)) {
    return fail(ErrorCode::kProtocol, "A link came with a malformed preamble.");
  }
  return preamble;
}

}  // namespace drover::net
