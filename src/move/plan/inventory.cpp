// SPDX-License-Identifier: Apache-2.0
#include "move/plan/inventory.h"

#include <algorithm>
#include <future>
#include <map>

#include "base/log.h"
#include "json/model_json.h"
#include "move/peer_messages.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kPeerLimit = 4s;
constexpr auto kSettleTime = 50ms;  // events come in groups; one list serves them all
constexpr auto kRetryTime = 2s;     // while the hypervisor is down
constexpr auto kReadLimit = 500ms;  // what a question waits for a list at most
constexpr std::size_t kEventsMax = 4096;

bool is_running(const Vm& vm) { return vm.state == VmState::kRunning; }

std::vector<std::string> find_two_runners(const std::vector<Vm>& vms) {
  std::map<std::string, const Vm*> running;
  std::vector<std::string> found;
  for (const auto& vm : vms) {
    if (!is_running(vm)) continue;
    const auto [it, fresh] = running.emplace(vm.uuid, &vm);
    if (fresh || it->second->host == vm.host) continue;
    found.push_back(fmt::format(
        "{} (UUID {}) runs on {} and on {}. Stop one of them at once: they may share disks.",
        vm.name, vm.uuid, it->second->host, vm.host));
  }
  return found;
}

}  // namespace

Inventory::Inventory(Hypervisor& hypervisor, journal::HostBook& book, net::PeerTransport& peers,
                     std::string host_name)
    : hypervisor_(hypervisor), book_(book), peers_(peers), host_name_(std::move(host_name)) {}

Inventory::~Inventory() = default;

void Inventory::start() {
  refresher_ = std::jthread([this](std::stop_token stop) { refresh(std::move(stop)); });
  hypervisor_.subscribe([this](const VmEvent& event) { take_event(event); });
}

void Inventory::add_listener(Listener listener) {
  const std::lock_guard lock(mutex_);
  listeners_.push_back(std::move(listener));
}

void Inventory::take_event(const VmEvent& event) {
  const std::lock_guard lock(mutex_);
  ++changes_;
  // Listeners that count on every event must know of a gap.
  if (events_.size() < kEventsMax) {
    events_.push_back(event);
  } else {
    events_.back() = {VmEvent::Kind::kDisconnected, {}, {}, false};
  }
  changed_.notify_all();
}

void Inventory::refresh(std::stop_token stop) {
  while (!stop.stop_requested()) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [this] { return read_ != changes_; });
    if (stop.stop_requested()) return;
    changed_.wait_for(lock, stop, kSettleTime, [this] { return hurry_; });
    hurry_ = false;
    const auto read = changes_;
    const auto events = std::exchange(events_, {});
    const auto listeners = listeners_;
    lock.unlock();
    auto vms = hypervisor_.list_vms();
    if (vms) {
      for (auto& vm : *vms) vm.host = host_name_;
    }
    lock.lock();
    vms_ = vms ? std::move(*vms) : std::vector<Vm>{};
    read_ = read;
    changed_.notify_all();
    if (!vms) {
      changed_.wait_for(lock, stop, kRetryTime, [this] { return read_ != changes_; });
      ++changes_;
    }
    lock.unlock();
    for (const auto& event : events) {
      for (const auto& listener : listeners) listener(event);
    }
  }
}

std::vector<Vm> Inventory::here() const {
  std::vector<Vm> vms;
  {
    const std::lock_guard lock(mutex_);
    vms = vms_;
  }
  if (describe_) std::ranges::for_each(vms, describe_);
  return vms;
}

void Inventory::look_again() {
  const std::lock_guard lock(mutex_);
  ++changes_;
  changed_.notify_all();
}

std::vector<Vm> Inventory::here_now() {
  // A listener that asks is on the thread that reads.
  if (refresher_.joinable() && std::this_thread::get_id() != refresher_.get_id()) {
    std::unique_lock lock(mutex_);
    const auto wanted = changes_;
    if (read_ < wanted) {
      hurry_ = true;
      changed_.notify_all();
      changed_.wait_for(lock, kReadLimit, [&] { return read_ >= wanted; });
    }
  }
  return here();
}

Inventory::All Inventory::everywhere() {
  All all;
  all.vms = here_now();
  std::vector<std::pair<std::string, std::future<Result<std::string>>>> questions;
  for (const auto& peer : book_.peers()) {
    if (peer.state != PeerState::kPaired) continue;
    questions.emplace_back(peer.name, std::async(std::launch::async, [this, name = peer.name] {
                             return peers_.call(name, verb::kVms, "{}",
                                                Deadline::after(kPeerLimit));
                           }));
  }
  for (auto& [name, question] : questions) {
    const auto text = question.get();
    const auto vms =
        text ? json::vms_from_json(*text, json::Unknown::kIgnore) : std::unexpected(text.error());
    if (!vms) {
      all.unreachable.push_back(fmt::format("{}: {}", name, vms.error().message));
      continue;
    }
    for (Vm vm : *vms) {
      vm.host = name;  // our name for it
      all.vms.push_back(std::move(vm));
    }
  }
  all.two_runners = find_two_runners(all.vms);
  for (const auto& sentence : all.two_runners) log::error("{}", sentence);
  return all;
}

}  // namespace drover::move
