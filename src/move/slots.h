// SPDX-License-Identifier: Apache-2.0
// How many live moves may leave this host at once. Any thread.
#pragma once

#include <condition_variable>
#include <mutex>
#include <utility>

#include "base/deadline.h"

namespace drover::move {

class Slots {
 public:
  explicit Slots(unsigned count) : free_(count) {}

  // A slot in use; given back when it goes out of scope.
  class Held {
   public:
    Held() = default;
    explicit Held(Slots* slots) : slots_(slots) {}
    ~Held() { give_back(); }
    Held(Held&& other) noexcept : slots_(std::exchange(other.slots_, nullptr)) {}
    Held& operator=(Held&& other) noexcept {
      if (this != &other) {
        give_back();
        slots_ = std::exchange(other.slots_, nullptr);
      }
      return *this;
    }
    bool held() const { return slots_ != nullptr; }

   private:
    void give_back() {
      if (slots_ != nullptr) slots_->release();
      slots_ = nullptr;
    }
    Slots* slots_ = nullptr;
  };

  // Waits for a free slot; not held: the deadline passed.
  Held take(Deadline deadline) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_until(lock, deadline.at(), [&] { return free_ > 0; })) return {};
    --free_;
    return Held(this);
  }

 private:
  void release() {
    const std::lock_guard lock(mutex_);
    ++free_;
    changed_.notify_one();
  }

  std::mutex mutex_;  // guards free_
  std::condition_variable changed_;
  unsigned free_;
};

}  // namespace drover::move
