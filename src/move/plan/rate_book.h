// SPDX-License-Identifier: Apache-2.0
// Rates that were measured, by what they are of. Any thread; who asks for one that is being
// measured waits for it, so that nobody can have the same thing measured without end.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "base/byte_count.h"
#include "model/forecast.h"

namespace drover::move {

class RateBook {
 public:
  enum class Unknown { kKept, kAskedAgain };  // a measurement that gave 0
  RateBook(std::chrono::seconds age, Unknown unknown) : age_(age), unknown_(unknown) {}

  // As it was measured within the last `age`, or as `measure` says now; no lock is held meanwhile.
  BytesPerSecond get(const std::string& what, const std::function<BytesPerSecond()>& measure);
  // As it was measured last, if it was; waits for nothing. Never 0.
  std::optional<AgedRate> known(const std::string& what);
  // As another one measured it just now; 0 changes nothing.
  void keep(const std::string& what, BytesPerSecond rate);

 private:
  struct Measured {
    BytesPerSecond rate;
    std::chrono::steady_clock::time_point at;
  };
  void put(const std::string& what, BytesPerSecond rate);  // under mutex_

  const std::chrono::seconds age_;
  const Unknown unknown_;
  std::mutex mutex_;  // guards all below
  std::condition_variable ended_;
  std::set<std::string> under_way_;
  std::map<std::string, Measured> rates_;  // bounded
};

}  // namespace drover::move
