// SPDX-License-Identifier: Apache-2.0
// A queue bounded by items and by bytes; full means the pusher waits. Any thread may call any
// function.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>

#include "base/deadline.h"

namespace drover {

template <typename T>
class BoundedQueue {
 public:
  BoundedQueue(std::size_t items_max, std::size_t bytes_max)
      : items_max_(items_max), bytes_max_(bytes_max) {}

  // Waits for room; an item larger than the whole bound enters an empty queue alone.
  // False: closed or the deadline passed, and the item was dropped.
  bool push(T item, std::size_t bytes, Deadline deadline = Deadline::never()) {
    std::unique_lock lock(mutex_);
    const auto room = [&] {
      return closed_ || items_.empty() ||
             (items_.size() < items_max_ && bytes_ + bytes <= bytes_max_);
    };
    if (!wait(lock, changed_, deadline, room) || closed_) return false;
    items_.push_back({std::move(item), bytes});
    bytes_ += bytes;
    changed_.notify_all();
    return true;
  }

  // Waits for an item. Nothing: closed and empty, or the deadline passed.
  std::optional<T> pop(Deadline deadline = Deadline::never()) {
    std::unique_lock lock(mutex_);
    if (!wait(lock, changed_, deadline, [&] { return closed_ || !items_.empty(); })) return {};
    if (items_.empty()) return {};
    Entry entry = std::move(items_.front());
    items_.pop_front();
    bytes_ -= entry.bytes;
    changed_.notify_all();
    return std::move(entry.item);
  }

  // Wakes everybody; what is queued can still be popped.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  struct Entry {
    T item;
    std::size_t bytes;
  };

  template <typename Ready>
  static bool wait(std::unique_lock<std::mutex>& lock, std::condition_variable& changed,
                   Deadline deadline, Ready ready) {
    if (deadline.is_never()) {
      changed.wait(lock, ready);
      return true;
    }
    return changed.wait_until(lock, deadline.at(), ready);
  }

  const std::size_t items_max_;
  const std::size_t bytes_max_;
  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::deque<Entry> items_;
  std::size_t bytes_ = 0;
  bool closed_ = false;
};

}  // namespace drover
