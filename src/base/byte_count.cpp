// SPDX-License-Identifier: Apache-2.0
#include "base/byte_count.h"

#include <array>
#include <cmath>
#include <cstdlib>

namespace drover {

std::string to_text(ByteCount size) {
  static constexpr std::array kUnits{"KiB", "MiB", "GiB", "TiB"};
  if (size.bytes < 1024) return fmt::format("{} bytes", size.bytes);
  double value = static_cast<double>(size.bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1023.5 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return value < 10 ? fmt::format("{:.1f} {}", value, kUnits[unit])
                    : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

std::string to_text(BytesPerSecond rate) { return to_text(ByteCount{rate.value}) + "/s"; }

Result<ByteCount> parse_byte_count(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const double number = std::strtod(copy.c_str(), &end);
  std::string unit(end);
  std::erase(unit, ' ');
  std::uint64_t factor = 0;
  if (unit.empty() || unit == "B")
    factor = 1;
  else if (unit == "K" || unit == "KiB")
    factor = kib(1).bytes;
  else if (unit == "M" || unit == "MiB")
    factor = mib(1).bytes;
  else if (unit == "G" || unit == "GiB")
    factor = gib(1).bytes;
  else if (unit == "T" || unit == "TiB")
    factor = gib(1024).bytes;
  const double value = number * static_cast<double>(factor);
  if (end == copy.c_str() || factor == 0 || !(value >= 0) || value > 9e18) {
    return fail(ErrorCode::kInvalidArgument, "{} is not a size. Write for example 512M or 20G.",
                text);
  }
  return ByteCount{static_cast<std::uint64_t>(std::llround(value))};
}

}  // namespace drover
