// SPDX-License-Identifier: Apache-2.0
// The thread that runs libvirt's event loop: events, keepalive and closed connections need it.
// libvirt takes one per process, for good; whoever needs it holds a share, and it stands still
// while nobody does.
#pragma once

#include <memory>
#include <thread>

namespace drover::libvirt {

class EventLoop {
 public:
  static std::shared_ptr<EventLoop> share();
  ~EventLoop();
  // Returns once every callback that was under way has ended. Not to be called from a callback.
  void settle();

 private:
  EventLoop();
  int wake_timer_ = -1;
  std::jthread thread_;
};

}  // namespace drover::libvirt
