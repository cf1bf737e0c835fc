// SPDX-License-Identifier: Apache-2.0
// How fast a place for disk images is, tried in a fraction of a second. Nothing stays of it, even
// if the process dies in between. Any thread; two at once on one disk make each other slower.
#pragma once

#include <chrono>
#include <string>

#include "base/byte_count.h"
#include "base/error.h"

namespace drover {

// Writes what nothing can make smaller into a file without a name in that folder (an open
// descriptor of it, O_PATH is enough) and puts it on stable storage: 16 MiB at most, and no further
// MiB once `limit` has passed. kSystem: the file system has no such files, or no room.
Result<BytesPerSecond> writing_speed(int folder, std::chrono::milliseconds limit);

// Reads parts of an existing file past the kernel's cache, where it holds data: 16 MiB at most.
// 0: it holds too little, or its file system reads through the cache only.
Result<BytesPerSecond> reading_speed(const std::string& path, std::chrono::milliseconds limit);

// Of the data of an existing file, how much the kernel's cache holds, by samples: from 0 to 1. What
// lies there is not read from the disk. 0 also where nobody can say.
double cached_share(const std::string& path);

}  // namespace drover
