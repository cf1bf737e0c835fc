// SPDX-License-Identifier: Apache-2.0
// Bytes for another program, under a descriptor and no name: keys and secrets, which nobody can
// open as a file. Any thread.
#pragma once

#include <cstdint>
#include <span>

#include "base/error.h"
#include "base/unique_fd.h"

namespace drover {

// It stands at its beginning, and is closed on exec. `name`: what /proc shows of it. kSystem: there
// is no memory for it.
Result<UniqueFd> memory_file(const char* name, std::span<const std::uint8_t> bytes);

}  // namespace drover
