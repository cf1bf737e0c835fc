// SPDX-License-Identifier: Apache-2.0
#include "move/plan/rate_book.h"

namespace drover::move {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kRatesMax = 256;
// Beyond the longest step of a measurement (measure.cpp); one of a disk that hangs may never end.
constexpr auto kWaitMost = std::chrono::seconds(9);

}  // namespace

BytesPerSecond RateBook::get(const std::string& what,
                             const std::function<BytesPerSecond()>& measure) {
  std::unique_lock lock(mutex_);
  const bool ended = ended_.wait_for(lock, kWaitMost, [&] { return !under_way_.contains(what); });
  const auto known = rates_.find(what);
  if (!ended) return known == rates_.end() ? BytesPerSecond{} : known->second.rate;
  if (known != rates_.end() && Clock::now() - known->second.at <= age_) return known->second.rate;
  under_way_.insert(what);
  const auto measured = [&] {
    lock.unlock();
    const struct End {  // even if it throws
      RateBook& book;
      std::unique_lock<std::mutex>& lock;
      const std::string& what;
      ~End() {
        lock.lock();
        book.under_way_.erase(what);
        book.ended_.notify_all();
      }
    } end{*this, lock, what};
    return measure();
  };
  const BytesPerSecond rate = measured();
  if (rate.value == 0 && unknown_ == Unknown::kAskedAgain) return rate;
  put(what, rate);
  return rate;
}

std::optional<AgedRate> RateBook::known(const std::string& what) {
  const std::lock_guard lock(mutex_);
  const auto found = rates_.find(what);
  if (found == rates_.end() || found->second.rate.value == 0) return std::nullopt;
  return AgedRate{found->second.rate, std::chrono::duration_cast<std::chrono::milliseconds>(
                                          Clock::now() - found->second.at)};
}

void RateBook::keep(const std::string& what, BytesPerSecond rate) {
  if (rate.value == 0) return;
  const std::lock_guard lock(mutex_);
  put(what, rate);
}

void RateBook::put(const std::string& what, BytesPerSecond rate) {
  if (rates_.size() >= kRatesMax) rates_.clear();
  rates_[what] = {rate, Clock::now()};
}

}  // namespace drover::move
