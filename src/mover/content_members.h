// SPDX-License-Identifier: Apache-2.0
// Names of ContentCounts in a mover's status: docs/processes.md, "drover-mover". A table.
#pragma once

#include <array>

#include "mover/session_status.h"

namespace drover::mover {

struct ContentMember {
  const char* name;
  std::uint64_t ContentCounts::* count;
};

inline constexpr std::array<ContentMember, 13> kContentMembers{{
    {"data_bytes", &ContentCounts::data_bytes},
    {"packed_bytes", &ContentCounts::packed_bytes},
    {"payload_bytes", &ContentCounts::payload_bytes},
    {"misses", &ContentCounts::misses},
    {"zero_pages", &ContentCounts::zero_pages},
    {"same_pages", &ContentCounts::same_pages},
    {"cached_pages", &ContentCounts::cached_pages},
    {"disk_pages", &ContentCounts::disk_pages},
    {"held_blocks", &ContentCounts::held_blocks},
    {"group_blocks", &ContentCounts::group_blocks},
    {"literal_pages", &ContentCounts::literal_pages},
    {"resent_pages", &ContentCounts::resent_pages},
    {"literal_bytes", &ContentCounts::literal_bytes},
}};

}  // namespace drover::mover
