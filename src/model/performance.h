// SPDX-License-Identifier: Apache-2.0
// How a move uses its road. Plain values.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/byte_count.h"

namespace drover {

enum class Performance {
  kDirect,     // QEMU's own bytes, only encrypted
  kCompress,   // what the other side lacks, compressed as far as it pays
  kMultilink,  // the same over several connections at once
};
std::string_view performance_name(Performance performance);  // "direct", ...
std::optional<Performance> performance_from_name(std::string_view name);

// QEMU's own connections for the pages of memory (multifd, virsh's --parallel-connections), beside
// the one that all moves have. Each is a stream of the mover.
inline constexpr unsigned kParallelConnectionsLeast = 1;
inline constexpr unsigned kParallelConnectionsMost = 16;
// kInvalidArgument: not between the two, or not with kDirect: the mover finds no page in them.
Status check_parallel_connections(unsigned connections, Performance performance);

// Bytes in a second, binary units: "100M", "1.5GiB"; "off": 0, no limit. kInvalidArgument also for
// less than kBandwidthLeast: a typing error, with which no VM would ever arrive.
Result<BytesPerSecond> parse_bandwidth(std::string_view text);
inline constexpr BytesPerSecond kBandwidthLeast{64 * 1024};
// "off", "100 MiB/s".
std::string bandwidth_text(BytesPerSecond bandwidth);

}  // namespace drover
