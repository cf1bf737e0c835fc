// SPDX-License-Identifier: Apache-2.0
// How many network disks one call looks at, and for how long: their servers are of a peer's choice,
// and must not hold it for longer. Pure.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "hypervisor/domain_xml.h"

namespace drover::move {

inline constexpr std::size_t kNetworkDisksMost = 32;
inline constexpr std::chrono::seconds kNetworkDisksLook{5};  // all of them together

// Before any server is spoken to. kPolicy: they are more than kNetworkDisksMost, or two have one
// name.
Status check_few(std::span<const std::string> targets);
Status check_few(std::span<const DiskFacts> disks);

}  // namespace drover::move
