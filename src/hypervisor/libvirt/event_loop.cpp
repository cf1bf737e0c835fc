// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/libvirt/event_loop.h"

#include <future>
#include <mutex>

#include <libvirt/libvirt.h>

#include "base/log.h"
#include "hypervisor/libvirt/failure.h"

namespace drover::libvirt {

std::shared_ptr<EventLoop> EventLoop::share() {
  static std::mutex mutex;  // guards `current`
  static std::weak_ptr<EventLoop> current;
  const std::lock_guard lock(mutex);
  auto shared = current.lock();
  if (!shared) {
    shared = std::shared_ptr<EventLoop>(new EventLoop);
    current = shared;
  }
  return shared;
}

EventLoop::EventLoop() {
  static std::once_flag registered;
  std::call_once(registered, [] {
    silence_stderr();
    if (virEventRegisterDefaultImpl() != 0)
      log::error("libvirt's event loop cannot be set up: no events will come.");
  });
  // A timer that never fires by itself, to wake the loop for its end.
  wake_timer_ = virEventAddTimeout(-1, [](int, void*) {}, nullptr, nullptr);
  thread_ = std::jthread([](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (virEventRunDefaultImpl() != 0)
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  });
}

void EventLoop::settle() {
  // Callbacks come from this one loop: when a timer set now has fired, those before it are over.
  std::promise<void> turned;
  auto done = turned.get_future();
  const int timer = virEventAddTimeout(
      0,
      [](int id, void* promise) {
        virEventRemoveTimeout(id);
        static_cast<std::promise<void>*>(promise)->set_value();
      },
      &turned, nullptr);
  if (timer >= 0) done.wait();
}

EventLoop::~EventLoop() {
  thread_.request_stop();
  virEventUpdateTimeout(wake_timer_, 0);
  thread_.join();
  virEventRemoveTimeout(wake_timer_);
}

}  // namespace drover::libvirt
