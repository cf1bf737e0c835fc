// SPDX-License-Identifier: Apache-2.0
// What an image says that it is built on, read from its own header: cheap enough to be asked of
// every disk of every VM, so that no file is put aside or removed that some disk stands on. Any
// thread.
#pragma once

#include <string>
#include <vector>

namespace drover {

inline constexpr std::size_t kBackingChainMax = 64;

// Nearest first. What is no local path ("nbd://...") ends the list and is not in it, as does a file
// that cannot be read; of a raw image nothing is read, for a guest can write any header. A layer
// counts as qcow2 if it begins like one.
std::vector<std::string> backing_chain_of(const std::string& path, const std::string& format);

}  // namespace drover
