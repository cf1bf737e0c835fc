// SPDX-License-Identifier: Apache-2.0
// When moves that wait will begin, from how long those before them take. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <vector>

namespace drover::forecast {

using Span = std::chrono::milliseconds;

// How long each of `waiting`, which begin in this order, has yet to wait, where at most `limit`
// (0: any number) are under way at once. `under_way`: what is left of each of them. A length that
// nobody knows is taken as the mean of the known ones; with none known nothing can be said, but of
// those that begin at once.
std::vector<std::optional<Span>> starts_in(std::span<const std::optional<Span>> under_way,
                                           std::span<const std::optional<Span>> waiting,
                                           unsigned limit);

}  // namespace drover::forecast
