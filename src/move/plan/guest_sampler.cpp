// SPDX-License-Identifier: Apache-2.0
#include "move/plan/guest_sampler.h"

#include <condition_variable>
#include <mutex>

#include "base/log.h"
#include "hypervisor/domain_xml.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kLookEvery = 2s;  // so a host of 100 guests is through within 200 s
constexpr auto kSampleEvery = 5min;
constexpr auto kBootTime = 1min;  // a guest that boots is another one soon
constexpr auto kSpan = 1s;        // libvirt measures whole seconds

}  // namespace

void GuestSampler::start() {
  thread_ = std::jthread([this](std::stop_token stop) {
    std::mutex mutex;  // guards nothing: the stop wakes the wait
    std::condition_variable_any stopping;
    while (!stop.stop_requested()) {
      look(Clock::now());
      std::unique_lock lock(mutex);
      stopping.wait_for(lock, stop, kLookEvery, [] { return false; });
    }
  });
}

void GuestSampler::look(Clock::time_point now) {
  std::map<std::string, Clock::time_point> due;
  const Vm* next = nullptr;
  const std::vector<Vm> vms = here_();
  for (const Vm& vm : vms) {
    if (vm.state != VmState::kRunning) continue;
    const auto known = due_.find(vm.uuid);
    const auto at = known == due_.end() ? now + kBootTime : known->second;
    due[vm.uuid] = at;
    // During a migration libvirt takes no other job of its VM.
    if (at > now || !vm.move_id.empty()) continue;
    if (next == nullptr || at < due[next->uuid]) next = &vm;
  }
  due_ = std::move(due);
  if (next == nullptr) return;
  due_[next->uuid] = now + kSampleEvery;
  if (!may_be_sampled(next->uuid)) return;
  if (auto begun = hypervisor_.measure_dirtying(next->uuid, kSpan); !begun)
    log::debug("What {} changes was not measured: {}", next->name, begun.error().text());
}

// A page that is read where nothing was written yet costs nothing, but in a shared memory: there
// it is made. Such guests would grow by being looked at.
bool GuestSampler::may_be_sampled(const std::string& uuid) {
  const auto text = hypervisor_.definition(uuid, DefinitionKind::kLive);
  const auto facts = text ? parse_domain(*text) : std::unexpected(text.error());
  return facts && !facts->shared_memory && !facts->huge_pages;
}

}  // namespace drover::move
