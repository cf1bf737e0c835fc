// SPDX-License-Identifier: Apache-2.0
// Blocks of bytes through lz4 and zstd, each alone. Any thread; each keeps its own working memory
// (zstd's tables: about 1 MiB at level 1, 3 at level 3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "content/batch.h"

namespace drover::content {

// Gives the compressed size, smaller than from.size(); 0: it does not shrink, or no method was
// asked for, and `to` holds nothing of use. REQUIRES: to.size() == from.size(), no overlap.
std::size_t compress(std::span<const std::uint8_t> from, Compression compression,
                     std::span<std::uint8_t> to);
// False unless `from` is exactly to.size() bytes, compressed by the method.
bool decompress(std::span<const std::uint8_t> from, Compression::Method method,
                std::span<std::uint8_t> to);

// Whether a zstd frame of today's format begins here: libzstd would also take those of its first
// years, by code that nobody looks at any more, and frames to skip.
bool begins_zstd_frame(std::span<const std::uint8_t> from);

}  // namespace drover::content
