// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include <sys/random.h>

namespace drover {

void fill_random(std::span<std::uint8_t> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = ::getrandom(out.data() + done, out.size() - done, 0);
    if (n < 0 && errno == EINTR) continue;
    DROVER_CHECK(n > 0);
    done += static_cast<std::size_t>(n);
  }
}

std::string random_name(std::size_t characters) {
  static constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
  std::vector<std::uint8_t> bytes(characters);
  fill_random(bytes);
  std::string name;
  for (const std::uint8_t byte : bytes) name += kAlphabet[byte % kAlphabet.size()];
  return name;
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
  std::string out;
  for (const std::uint8_t byte : bytes) out += fmt::format("{:02x}", byte);
  return out;
}

Result<std::vector<std::uint8_t>> from_hex(std::string_view text) {
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::vector<std::uint8_t> out;
  if (text.size() % 2 != 0) return fail(ErrorCode::kInvalidArgument, "Hex text has an odd length.");
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]);
    const int low = digit(text[i + 1]);
    if (high < 0 || low < 0) return fail(ErrorCode::kInvalidArgument, "Text is not hexadecimal.");
    out.push_back(static_cast<std::uint8_t>(high * 16 + low));
  }
  return out;
}

}  // namespace drover
