// SPDX-License-Identifier: Apache-2.0
// Hands a command from the control thread to the poll loop and its answer back. post() by any
// thread, the rest by the loop's. At most kCommandsMax wait.
#pragma once

#include <chrono>
#include <deque>
#include <future>
#include <mutex>
#include <optional>

#include <nlohmann/json.hpp>
#include <sys/eventfd.h>

#include "base/error.h"
#include "base/unique_fd.h"

namespace drover::gate {

class Mailbox {
 public:
  static constexpr std::size_t kCommandsMax = 16;
  struct Command {
    nlohmann::json message;
    std::promise<Result<nlohmann::json>> answer;
  };

  Mailbox() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { DROVER_CHECK(wake_.valid()); }

  // Waits for the loop's answer; kTimeout: it may still carry the command out.
  Result<nlohmann::json> post(nlohmann::json message, std::chrono::milliseconds patience) {
    std::future<Result<nlohmann::json>> answer;
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return fail(ErrorCode::kUnavailable, "The gate is ending.");
      if (commands_.size() >= kCommandsMax) return fail(ErrorCode::kConflict, "The gate is busy.");
      commands_.push_back({std::move(message), {}});
      answer = commands_.back().answer.get_future();
    }
    ::eventfd_write(wake_.get(), 1);
    if (answer.wait_for(patience) == std::future_status::ready) return answer.get();
    return fail(ErrorCode::kTimeout, "The gate did not answer in time.");
  }

  int wake_fd() const { return wake_.get(); }
  std::optional<Command> take() {
    const std::lock_guard lock(mutex_);
    if (commands_.empty()) {
      eventfd_t ignored = 0;
      ::eventfd_read(wake_.get(), &ignored);
      return std::nullopt;
    }
    Command command = std::move(commands_.front());
    commands_.pop_front();
    return command;
  }
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    for (Command& command : commands_) {
      command.answer.set_value(fail(ErrorCode::kUnavailable, "The gate is ending."));
    }
    commands_.clear();
  }

 private:
  const UniqueFd wake_;
  std::mutex mutex_;  // guards all below
  std::deque<Command> commands_;
  bool closed_ = false;
};

}  // namespace drover::gate
