// SPDX-License-Identifier: Apache-2.0
// The VMs of this host, kept up to date by the hypervisor's events, and of all paired hosts on
// request. Any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "hypervisor/hypervisor.h"
#include "journal/host_book.h"
#include "net/peer_transport.h"

namespace drover::move {

class Inventory {
 public:
  using Listener = std::function<void(const VmEvent&)>;
  Inventory(Hypervisor& hypervisor, journal::HostBook& book, net::PeerTransport& peers,
            std::string host_name);
  ~Inventory();

  // Subscribes to the hypervisor; call once, after all listeners are added.
  void start();
  // Hears each event after the list is fresh, on the inventory's thread.
  void add_listener(Listener listener);
  // Adds to a VM what the hypervisor does not know of it, from any thread. Before start().
  void describe_by(std::function<void(Vm&)> describe) { describe_ = std::move(describe); }

  // This host's, `host` filled in. Waits for no hypervisor: empty while it is down.
  std::vector<Vm> here() const;
  // The same, with all that is known to have changed: a VM that has just moved away is not there
  // any more. Waits for that, half a second at most.
  std::vector<Vm> here_now();
  // Something changed that has no event, or whose event may still be on its way.
  void look_again();

  struct All {
    std::vector<Vm> vms;
    std::vector<std::string> unreachable;  // paired hosts that did not answer
    std::vector<std::string>
        two_runners;  // UUIDs that run on more than one host: sentences for people
  };
  All everywhere();

 private:
  void take_event(const VmEvent& event);
  void refresh(std::stop_token stop);

  Hypervisor& hypervisor_;
  journal::HostBook& book_;
  net::PeerTransport& peers_;
  const std::string host_name_;
  std::function<void(Vm&)> describe_;  // called without mutex_
  mutable std::mutex mutex_;           // guards all below but the thread
  std::condition_variable_any changed_;
  std::vector<Listener> listeners_;
  std::vector<Vm> vms_;
  std::vector<VmEvent> events_;  // not yet told; bounded by kEventsMax
  std::uint64_t changes_ = 1;    // seen so far
  std::uint64_t read_ = 0;       // of these, what vms_ shows
  bool hurry_ = false;           // somebody waits for them
  std::jthread refresher_;
};

}  // namespace drover::move
