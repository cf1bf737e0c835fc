// SPDX-License-Identifier: Apache-2.0
// Rates that were measured a moment ago, by what they are of. Any thread; who asks for one that is
// being measured waits for it, so that nobody can have the same thing measured without end.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "base/byte_count.h"

namespace drover::move {

class RateBook {
 public:
  enum class Unknown { kKept, kAskedAgain };  // a measurement that gave 0
  RateBook(std::chrono::seconds age, Unknown unknown) : age_(age), unknown_(unknown) {}

  // As it was measured within the last `age`, or as `measure` says now; no lock is held meanwhile.
  BytesPerSecond get(const std::string& what, const std::function<BytesPerSecond()>& measure);

 private:
  struct Measured {
    BytesPerSecond rate;
    std::chrono::steady_clock::time_point at;
  };
  const std::chrono::seconds age_;
  const Unknown unknown_;
  std::mutex mutex_;  // guards all below
  std::condition_variable ended_;
  std::set<std::string> under_way_;
  std::map<std::string, Measured> rates_;  // bounded
};

}  // namespace drover::move
