// SPDX-License-Identifier: Apache-2.0
// Folders that an administrator allows Drover to create files beneath. Below an allowed folder no
// link is followed and no ".." is taken: what a peer names stays where it was allowed. Any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/unique_fd.h"

namespace drover {

// Absolute, without "." or ".." or empty components, no newline or other control character, shorter
// than PATH_MAX.
bool is_plain_path(std::string_view path);
// `path` itself or a folder above it is in `allowed`, by whole components.
bool is_allowed(std::string_view path, std::span<const std::string> allowed);
// Opens an existing folder with O_PATH. kPermission: not a plain path, not allowed, or a link
// stands in the way; kNotFound: no such folder.
Result<UniqueFd> open_allowed_folder(std::string_view folder, std::span<const std::string> allowed);

}  // namespace drover
