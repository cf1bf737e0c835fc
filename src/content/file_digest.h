// SPDX-License-Identifier: Apache-2.0
// What a whole file is called: the SHA-256 of its bytes. Unlike the names of blocks it holds
// against whoever made the file. Any thread.
#pragma once

#include <stop_token>
#include <string>

#include "base/error.h"

namespace drover::content {

// 64 hex digits. Holes are zeroes and are not read. kCancelled: `stop` came. The file must not
// change meanwhile: what is read is what counts.
Result<std::string> file_digest(int file, std::stop_token stop = {});

// Of its length and of 64 parts of it, spread evenly: two files that differ here differ. Reads at
// most 4 MiB.
Result<std::string> file_sample(int file);

}  // namespace drover::content
