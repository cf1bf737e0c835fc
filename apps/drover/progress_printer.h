// SPDX-License-Identifier: Apache-2.0
// Prints how a move goes on, and says something at least every two seconds: a thread of its own
// repeats the last words when no news came. Any thread may call.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/error.h"
#include "model/move.h"

namespace drover::cli {

class ProgressPrinter {
 public:
  enum class Style { kRedrawnLine, kLines, kJson };

  explicit ProgressPrinter(Style style);
  ~ProgressPrinter();  // ends the redrawn line

  void news(const Move& move);
  void trouble(const Error& error);
  // Sleeps for a while, less if wake() is called.
  void pause(std::chrono::milliseconds span);
  void wake();

 private:
  using Clock = std::chrono::steady_clock;

  void print(Clock::time_point now);                                      // REQUIRES: mutex_ held
  void tell_warning(const std::optional<Move>& before, const Move& now);  // likewise
  void repeat(std::stop_token stop);

  const Style style_;
  std::mutex mutex_;  // guards all below and the terminal
  std::condition_variable_any changed_;
  bool woken_ = false;
  std::optional<Move> last_;
  int percent_ = 0;                       // the highest said so far
  std::chrono::milliseconds elapsed_{0};  // likewise
  std::string trouble_;
  Clock::time_point heard_at_;
  Clock::time_point printed_at_;
  bool line_open_ = false;
  std::jthread repeater_;
};

}  // namespace drover::cli
