// SPDX-License-Identifier: Apache-2.0
#include "move/queue/bandwidth.h"

#include <algorithm>
#include <numeric>

namespace drover::move {

std::vector<BytesPerSecond> fair_shares(BytesPerSecond total,
                                        const std::vector<BytesPerSecond>& limits) {
  std::vector<BytesPerSecond> shares = limits;
  if (total.value == 0) return shares;
  // The modest first: what they leave is there for the rest.
  std::vector<std::size_t> order(limits.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto wanted = [&](std::size_t i) {
    return limits[i].value == 0 ? ~std::uint64_t{0} : limits[i].value;
  };
  std::ranges::sort(order, {}, wanted);
  std::uint64_t left = total.value;
  for (std::size_t done = 0; done < order.size(); ++done) {
    const std::uint64_t equal = left / (order.size() - done);
    const std::uint64_t share = std::max<std::uint64_t>(std::min(equal, wanted(order[done])), 1);
    shares[order[done]] = {share};
    left -= std::min(left, share);
  }
  return shares;
}

Bandwidth::Part::Part(Bandwidth& bandwidth, BytesPerSecond limit) : bandwidth_(bandwidth) {
  const std::lock_guard lock(bandwidth_.mutex_);
  number_ = ++bandwidth_.last_;
  bandwidth_.limits_[number_] = limit;
}

Bandwidth::Part::~Part() {
  const std::lock_guard lock(bandwidth_.mutex_);
  bandwidth_.limits_.erase(number_);
}

BytesPerSecond Bandwidth::Part::share(BytesPerSecond total) const {
  const std::lock_guard lock(bandwidth_.mutex_);
  std::vector<BytesPerSecond> limits;
  std::size_t own = 0;
  for (const auto& [number, limit] : bandwidth_.limits_) {
    if (number == number_) own = limits.size();
    limits.push_back(limit);
  }
  return fair_shares(total, limits)[own];
}

}  // namespace drover::move
