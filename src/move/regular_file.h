// SPDX-License-Identifier: Apache-2.0
// Files that somebody else may have put where they are. Any thread.
#pragma once

#include <string>

#include "base/error.h"
#include "base/unique_fd.h"

namespace drover::move {

// No device or pipe: opening or reading those does something, or never ends. `flags` as open(2)
// takes them. kConflict: it is none; kNotFound, kSystem: it cannot be opened.
Result<UniqueFd> open_regular(const std::string& path, int flags);

}  // namespace drover::move
