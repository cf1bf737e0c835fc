// SPDX-License-Identifier: Apache-2.0
// The same work for many, several at a time, on a few threads. Any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace drover {

// Hosts are asked and plans are made so many at a time; each of the latter asks two libvirts.
inline constexpr std::size_t kFanOut = 8;

// Calls `work(i)` for each i below `count`, each once, begun in order, at most kFanOut at a time,
// and returns when all are done. `work` must not throw, and bounds its own time.
template <typename Work>
void fan_out(std::size_t count, const Work& work) {
  std::atomic<std::size_t> next = 0;
  const auto run = [&] {
    for (std::size_t i = next++; i < count; i = next++) work(i);
  };
  std::vector<std::jthread> threads;
  for (std::size_t i = 1; i < std::min(count, kFanOut); ++i) threads.emplace_back(run);
  run();
}

}  // namespace drover
