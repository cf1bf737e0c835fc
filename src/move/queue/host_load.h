// SPDX-License-Identifier: Apache-2.0
// What a host does at this instant, as the kernel counts it since the host began: for the limit
// `auto` (auto_limit.h). Any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace drover::move {

struct HostLoad {
  std::uint64_t busy_ticks = 0;     // of all processors together
  std::uint64_t idle_ticks = 0;     // what waits for a disk is idle
  std::uint64_t network_bytes = 0;  // in and out, of all devices but loopback
  std::uint64_t disk_bytes = 0;     // read and written, of all block devices
};

// The three files' texts: /proc/stat, /proc/net/dev, /proc/diskstats. What is not understood counts
// as nothing.
HostLoad parse_host_load(std::string_view stat, std::string_view net_dev,
                         std::string_view diskstats);
Result<HostLoad> read_host_load();

}  // namespace drover::move
