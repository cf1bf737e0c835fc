// SPDX-License-Identifier: Apache-2.0
#include "move/health/outside_watch.h"

#include <fmt/format.h>

#include "base/log.h"
#include "json/encode.h"

namespace drover::move {
namespace {

constexpr std::size_t kEventsMax = 256;  // of starts and stops; older ones are forgotten
constexpr std::size_t kRemarksMax = 1024;

bool is_told(const VmEvent& event) {
  return event.kind == VmEvent::Kind::kStarted || event.kind == VmEvent::Kind::kStopped;
}

}  // namespace

OutsideWatch::OutsideWatch(std::string host_name, std::function<bool(std::string_view)> is_ours,
                           std::function<std::vector<Vm>()> everywhere)
    : host_name_(std::move(host_name)),
      is_ours_(std::move(is_ours)),
      everywhere_(std::move(everywhere)),
      looker_([this](const std::stop_token& stop) { look(stop); }) {}

void OutsideWatch::take_vm_event(const VmEvent& event) {
  if (!is_told(event)) return;
  const std::lock_guard lock(mutex_);
  if (events_.size() >= kEventsMax) events_.pop_front();
  events_.push_back(event);
  changed_.notify_all();
}

std::string OutsideWatch::remark(std::string_view vm_uuid) const {
  const std::lock_guard lock(mutex_);
  const auto it = remarks_.find(vm_uuid);
  return it == remarks_.end() ? std::string() : it->second;
}

void OutsideWatch::look(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return !events_.empty(); })) {
    const VmEvent event = std::move(events_.front());
    events_.pop_front();
    lock.unlock();
    const std::string remark = judge(event);
    if (!remark.empty()) log::warning("{} on {}: {}", event.name, host_name_, remark);
    lock.lock();
    if (remark.empty()) {
      remarks_.erase(event.uuid);
    } else if (remarks_.size() < kRemarksMax) {
      remarks_[event.uuid] = remark;
    }
  }
}

std::string OutsideWatch::judge(const VmEvent& event) const {
  if (is_ours_(event.uuid)) return {};
  if (event.kind == VmEvent::Kind::kStarted) return judge_start(event);
  return event.by_migration ? "another tool than Drover moved it away." : "";
}

// A VM that came is expected to be on its former host still, or to have just left it; one that was
// started here is not expected anywhere else.
std::string OutsideWatch::judge_start(const VmEvent& event) const {
  if (event.by_migration) return "another tool than Drover moved it here.";
  for (const auto& vm : everywhere_()) {
    if (vm.uuid != event.uuid || vm.host == host_name_) continue;
    return fmt::format(
        "it was started here, and {} has it too ({}). Only one of them may run: find out which "
        "disks are newer, and undefine the other.",
        vm.host, json::name_of(vm.state));
  }
  return {};
}

}  // namespace drover::move
