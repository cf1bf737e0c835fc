// SPDX-License-Identifier: Apache-2.0
// The payloads of HELLO and REFUSED: docs/mover_protocol.md, "Frames". Plain values; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"

namespace drover::mover {

enum class Role : std::uint8_t { kInvalid = 0, kSource = 1, kDestination = 2 };

inline constexpr std::uint16_t kProtocolVersion = 2;
inline constexpr std::array<std::uint16_t, 2> kKnownVersions{1, 2};
inline constexpr std::uint16_t kContentSince = 2;  // the version that brought PACKED and MISS
inline constexpr std::uint16_t kNoContent = 0;
inline constexpr std::uint16_t kContentVersion = 3;
inline constexpr std::uint16_t kContentOldest = 2;   // that is still understood
inline constexpr std::uint16_t kRunningSince = 3;    // the content that brought running compression
inline constexpr std::uint16_t kHelloTakesHeld = 1;  // of the source
inline constexpr std::uint16_t kHelloReadsBack = 1;  // of the destination, as the next two
inline constexpr std::uint16_t kHelloHolds = 2;
inline constexpr std::uint16_t kHelloReadsFiles = 4;
inline constexpr std::uint32_t kHelloBytes = 24;
inline constexpr std::uint32_t kKnownVersionsMax = 32;

struct Hello {
  std::uint16_t version = kProtocolVersion;
  Role role = Role::kInvalid;
  std::uint16_t link = 0;
  std::uint64_t session = 0;  // the sender's, random
  std::uint32_t window_bytes = 0;
  std::uint16_t content = kNoContent;  // version of "Content" asked for, or agreed to
  bool takes_held = false;             // source: knows streams of held content
  bool reads_back = false;             // destination: references to its disks can be resolved
  bool holds = false;                  // destination, if the source takes it: files it can name
  bool reads_files = false;            // destination: its disks in their images' files, cheaply

  bool operator==(const Hello&) const = default;
};

void encode_hello(const Hello& hello, std::span<std::uint8_t, kHelloBytes> out);
// The version is not judged here; all else is (kProtocol).
Result<Hello> decode_hello(std::span<const std::uint8_t> payload);

bool version_is_known(std::uint16_t version);
std::vector<std::uint8_t> encode_refused();
// What both sides understand of what one asks for and the other allows.
std::uint16_t agreed_content(std::uint16_t asked, std::uint16_t allowed);
// The newest version of a REFUSED that is known here.
std::optional<std::uint16_t> newest_common_version(std::span<const std::uint8_t> refused);
// A sentence for people: which versions the other side knows.
Error refused_error(std::span<const std::uint8_t> payload);

}  // namespace drover::mover
