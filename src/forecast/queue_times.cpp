// SPDX-License-Identifier: Apache-2.0
#include "forecast/queue_times.h"

#include <algorithm>

namespace drover::forecast {
namespace {

std::optional<Span> mean_of(std::span<const std::optional<Span>> first,
                            std::span<const std::optional<Span>> second) {
  Span sum{0};
  int count = 0;
  for (const auto& list : {first, second}) {
    for (const auto& one : list) {
      if (!one) continue;
      sum += *one;
      ++count;
    }
  }
  if (count == 0) return std::nullopt;
  return sum / count;
}

}  // namespace

std::vector<std::optional<Span>> starts_in(std::span<const std::optional<Span>> under_way,
                                           std::span<const std::optional<Span>> waiting,
                                           unsigned limit) {
  const std::optional<Span> mean = mean_of(under_way, waiting);
  // When each place comes free; nothing: nobody knows.
  std::vector<std::optional<Span>> places;
  for (const auto& left : under_way) places.push_back(left ? left : mean);
  std::vector<std::optional<Span>> starts;
  for (const auto& length : waiting) {
    if (limit == 0 || places.size() < limit) {
      starts.emplace_back(Span{0});
      places.push_back(length ? length : mean);
      continue;
    }
    // More than the limit may be under way: it was lowered. Those that are too many make no room.
    std::ranges::sort(places, [](const auto& one, const auto& other) {
      return one.value_or(Span::max()) < other.value_or(Span::max());
    });
    auto& place = places[places.size() - limit];
    starts.push_back(place);
    const auto takes = length ? length : mean;
    if (place && takes)
      *place += *takes;
    else
      place.reset();
    places.erase(places.begin(),
                 places.begin() + static_cast<std::ptrdiff_t>(places.size() - limit));
  }
  return starts;
}

}  // namespace drover::forecast
