// SPDX-License-Identifier: Apache-2.0
// What this host's kernel has of numbered things: processors, NUMA nodes, huge pages. Reads only.
// Any thread.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/byte_count.h"

namespace drover::preflight {

// "0-3,^2,8": from the left, ^ takes out. Nothing: it is no such set, or one beyond 4096.
std::optional<std::set<unsigned>> parse_number_set(std::string_view text);
// The first number of `wanted` that `online` lacks; nothing: none, or one of the two is not known.
std::optional<unsigned> first_missing(std::string_view wanted, std::string_view online);
// At least one of `wanted` is in `online`.
bool has_any(std::string_view wanted, std::string_view online);

// Such as /sys/devices/system/node/online; empty: the kernel does not say.
std::string online_set(const std::string& file);

// Memory in huge pages of this size (0: the kernel's usual one) that are free or may be made on
// demand (overcommit), of all nodes together. Nothing: the kernel has no pages of that size.
std::optional<ByteCount> free_huge_pages(ByteCount size,
                                         const std::string& folder = "/sys/kernel/mm/hugepages",
                                         const std::string& meminfo = "/proc/meminfo");

}  // namespace drover::preflight
