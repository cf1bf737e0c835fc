// SPDX-License-Identifier: Apache-2.0
// Small files, whole: read, and write so that a power cut leaves the former or the new content. Any
// thread.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "base/error.h"

namespace drover {

// Refuses files above `bytes_max` (kInvalidArgument).
Result<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max = 1 << 20);
// Temporary file beside it, fdatasync, rename, fsync of the folder.
Status write_file_durably(const std::filesystem::path& path, std::string_view content, mode_t mode);
// fsync of a folder, so that names created or removed in it survive a power cut.
Status sync_folder(const std::filesystem::path& folder);
// Like mkdir -p with a mode for the last folder.
Status make_folder(const std::filesystem::path& path, mode_t mode);

}  // namespace drover
