// SPDX-License-Identifier: Apache-2.0
// What the name of a host stands for. Any thread.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace drover::net {

// IP addresses, as numbers are written, IPv4's without "::ffff:"; of a number itself. kUnavailable
// (retry later): it has none now. Bounded by the system's resolver alone.
Result<std::vector<std::string>> addresses_of(const std::string& host);

}  // namespace drover::net
