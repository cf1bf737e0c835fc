// SPDX-License-Identifier: Apache-2.0
#include "mover/hello.h"

#include <algorithm>

#include "base/big_endian.h"
#include "mover/limits.h"

namespace drover::mover {

namespace {

std::uint16_t flags_of(const Hello& hello) {
  if (hello.role == Role::kSource) return hello.takes_held ? kHelloTakesHeld : 0;
  const unsigned reads_back = hello.reads_back ? kHelloReadsBack : 0;
  const unsigned holds = hello.holds ? kHelloHolds : 0;
  const unsigned reads_files = hello.reads_files ? kHelloReadsFiles : 0;
  return static_cast<std::uint16_t>(reads_back | holds | reads_files);
}

// Before content there were none.
std::uint16_t flags_max(const Hello& hello) {
  if (hello.version < kContentSince) return 0;
  return hello.role == Role::kSource ? kHelloTakesHeld
                                     : kHelloReadsBack | kHelloHolds | kHelloReadsFiles;
}

}  // namespace

void encode_hello(const Hello& hello, std::span<std::uint8_t, kHelloBytes> out) {
  std::ranges::fill(out, std::uint8_t{0});
  store_be(&out[0], hello.version);
  out[2] = static_cast<std::uint8_t>(hello.role);
  store_be(&out[4], hello.link);
  store_be(&out[8], hello.session);
  store_be(&out[16], hello.window_bytes);
  if (hello.version < kContentSince) return;
  store_be(&out[20], hello.content);
  store_be(&out[22], flags_of(hello));
}

Result<Hello> decode_hello(std::span<const std::uint8_t> payload) {
  const auto refuse = [](std::string_view what) {
    return fail(ErrorCode::kProtocol, "The other mover's HELLO has a wrong {}.", what);
  };
  if (payload.size() != kHelloBytes) return refuse("length");
  Hello hello;
  hello.version = load_be<std::uint16_t>(&payload[0]);
  hello.role = static_cast<Role>(payload[2]);
  hello.link = load_be<std::uint16_t>(&payload[4]);
  hello.session = load_be<std::uint64_t>(&payload[8]);
  hello.window_bytes = load_be<std::uint32_t>(&payload[16]);
  // Of another version only the number is certain.
  if (!version_is_known(hello.version)) return hello;
  hello.content = load_be<std::uint16_t>(&payload[20]);
  const auto flags = load_be<std::uint16_t>(&payload[22]);
  const bool source = hello.role == Role::kSource;
  hello.takes_held = source && (flags & kHelloTakesHeld) != 0;
  hello.reads_back = !source && (flags & kHelloReadsBack) != 0;
  hello.holds = !source && (flags & kHelloHolds) != 0;
  hello.reads_files = !source && (flags & kHelloReadsFiles) != 0;
  const bool before_content = hello.version < kContentSince;
  const bool reserved_zero = payload[3] == 0 && load_be<std::uint16_t>(&payload[6]) == 0 &&
                             flags <= flags_max(hello) &&
                             (!before_content || hello.content == kNoContent);
  if (!reserved_zero) return refuse("reserved field");
  if (hello.role != Role::kSource && hello.role != Role::kDestination) return refuse("role");
  if (hello.link == 0 || hello.link > kLinkNumberMax) return refuse("link number");
  if (hello.session == 0) return refuse("session number");
  if (hello.window_bytes < kWindowMin || hello.window_bytes > kWindowMax) return refuse("window");
  return hello;
}

bool version_is_known(std::uint16_t version) {
  return std::ranges::find(kKnownVersions, version) != kKnownVersions.end();
}

std::vector<std::uint8_t> encode_refused() {
  std::vector<std::uint8_t> payload(2 * kKnownVersions.size());
  for (std::size_t i = 0; i < kKnownVersions.size(); ++i)
    store_be(&payload[2 * i], kKnownVersions[i]);
  return payload;
}

// A version of "Content" that is not known here is as good as none: the bytes travel as they are.
std::uint16_t agreed_content(std::uint16_t asked, std::uint16_t allowed) {
  return asked >= kContentOldest && asked <= allowed ? asked : kNoContent;
}

std::optional<std::uint16_t> newest_common_version(std::span<const std::uint8_t> refused) {
  std::optional<std::uint16_t> newest;
  for (std::size_t i = 0; i + 1 < refused.size(); i += 2) {
    const auto version = load_be<std::uint16_t>(&refused[i]);
    if (version_is_known(version) && version > newest.value_or(0)) newest = version;
  }
  return newest;
}

Error refused_error(std::span<const std::uint8_t> payload) {
  std::string known;
  for (std::size_t i = 0; i + 1 < payload.size(); i += 2) {
    known += fmt::format("{}{}", known.empty() ? "" : ", ", load_be<std::uint16_t>(&payload[i]));
  }
  return fail(ErrorCode::kProtocol,
              "The other mover does not speak version {} of the mover protocol, but {}. Install "
              "the same release of "
              "Drover on both hosts.",
              kProtocolVersion, known)
      .error();
}

}  // namespace drover::mover
