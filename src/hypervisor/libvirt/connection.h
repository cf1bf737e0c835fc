// SPDX-License-Identifier: Apache-2.0
// The connection to libvirt's daemon: opened, watched, opened again, by a thread of its own. Events
// go into a bounded queue and are handed out by a second thread, so that a subscriber may call the
// hypervisor. Lock order: mutex_ alone; it is never held across a call to libvirt or to the
// subscriber.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "base/deadline.h"
#include "base/error.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/libvirt/event_loop.h"
#include "hypervisor/libvirt/handle.h"

namespace drover::libvirt {

// One that nobody watches over; kUnavailable.
Result<ConnectHandle> open_once(const std::string& uri);

class Connection {
 public:
  explicit Connection(std::string uri);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool connected();
  // A share of the living connection. kUnavailable if there is none, after giving a fresh one a
  // moment.
  Result<ConnectHandle> get();
  // One of the caller's own, with keepalive.
  Result<ConnectHandle> open_own() const;
  void subscribe(std::function<void(const VmEvent&)> callback);
  // Called with the UUID of any VM that something happened to, on libvirt's event thread; "" for
  // all of them.
  void on_change(std::function<void(const std::string&)> callback);

 private:
  struct Callbacks;
  void keep(const std::stop_token& stop);
  void hand_out();
  bool open();
  void close();
  void publish(VmEvent event);
  void changed(const std::string& uuid);

  const std::string uri_;
  std::shared_ptr<EventLoop> loop_ = EventLoop::share();
  std::mutex mutex_;  // guards everything up to the queue
  std::condition_variable_any state_changed_;
  ConnectHandle connection_;
  std::vector<int> registered_;
  bool closed_ = false;    // libvirt said so; the keeper thread cleans up
  unsigned attempts_ = 0;  // finished ones
  bool attempting_ = false;
  Deadline attempt_due_ = Deadline::never();  // of the attempt under way
  bool wanted_now_ = false;                   // somebody waits: do not sleep
  Error last_failure_;
  std::function<void(const VmEvent&)> subscriber_;
  std::function<void(const std::string&)> on_change_;
  BoundedQueue<VmEvent> events_{4096, 1u << 20};
  std::jthread hander_;
  std::jthread keeper_;
};

}  // namespace drover::libvirt
