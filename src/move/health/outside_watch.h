// SPDX-License-Identifier: Apache-2.0
// What other tools do to VMs while Drover looks on: moves that are not ours, and VMs started while
// another paired host has them too. It is said in the log and in lists, and never undone. Any
// thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "hypervisor/hypervisor.h"

namespace drover::move {

class OutsideWatch {
 public:
  // `is_ours`: a move of Drover explains this VM's events. `everywhere`: the VMs of all paired
  // hosts; may take seconds. Both are called on the watch's own thread, and must outlive it.
  OutsideWatch(std::string host_name, std::function<bool(std::string_view vm_uuid)> is_ours,
               std::function<std::vector<Vm>()> everywhere);

  // A listener of the Inventory; returns at once.
  void take_vm_event(const VmEvent& event);
  // What is to be said of a VM in lists, empty: nothing. Forgotten when the VM is stopped or
  // started again, or droverd is.
  std::string remark(std::string_view vm_uuid) const;

 private:
  void look(const std::stop_token& stop);
  std::string judge(const VmEvent& event) const;
  std::string judge_start(const VmEvent& event) const;

  const std::string host_name_;
  const std::function<bool(std::string_view)> is_ours_;
  const std::function<std::vector<Vm>()> everywhere_;
  mutable std::mutex mutex_;  // guards all below but the thread
  std::condition_variable_any changed_;
  std::deque<VmEvent> events_;  // not yet looked at; bounded by kEventsMax
  std::map<std::string, std::string, std::less<>> remarks_;  // by UUID; bounded by kRemarksMax
  std::jthread looker_;
};

}  // namespace drover::move
