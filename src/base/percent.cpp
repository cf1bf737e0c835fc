// SPDX-License-Identifier: Apache-2.0
#include "base/percent.h"

#include <fmt/core.h>

namespace drover {
namespace {

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-._~").contains(c);
}

}  // namespace

std::string percent_encoded(std::string_view text, Slash slash) {
  std::string out;
  for (const char c : text) {
    if (is_plain(c) || (c == '/' && slash == Slash::kParts))
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace drover
