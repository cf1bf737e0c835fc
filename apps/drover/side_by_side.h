// SPDX-License-Identifier: Apache-2.0
// Several requests to daemons at a time, with the answers in order.
#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/fan_out.h"

namespace drover::cli {

// Calls `work(i)` for each i below `count` as fan_out() does, and `take(i, outcome)` in order, each
// as soon as it and all before it are there; one `take` at a time, on any of the threads.
template <typename Work, typename Take>
void side_by_side(std::size_t count, const Work& work, const Take& take) {
  using Outcome = std::invoke_result_t<const Work&, std::size_t>;
  std::mutex mutex;
  std::vector<std::optional<Outcome>> outcomes(count);
  std::size_t taken = 0;
  fan_out(count, [&](std::size_t i) {
    Outcome outcome = work(i);
    const std::lock_guard lock(mutex);
    outcomes[i] = std::move(outcome);
    for (; taken < count && outcomes[taken]; ++taken) take(taken, std::move(*outcomes[taken]));
  });
}

}  // namespace drover::cli
