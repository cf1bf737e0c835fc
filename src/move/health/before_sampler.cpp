// SPDX-License-Identifier: Apache-2.0
#include "move/health/before_sampler.h"

#include "move/health/health.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kInterval = 1s;  // a small VM is copied in some seconds

}  // namespace

BeforeSampler::BeforeSampler(Hypervisor& hypervisor, std::string uuid)
    : hypervisor_(hypervisor),
      uuid_(std::move(uuid)),
      thread_([this](std::stop_token stop) { run(std::move(stop)); }) {}

BeforeSampler::~BeforeSampler() = default;

HealthBefore BeforeSampler::seen() const {
  const std::lock_guard lock(mutex_);
  return early_ && late_ ? before_of(*early_, *late_) : HealthBefore{};
}

// A guest that stands still for the switch, or is gone, says nothing new.
void BeforeSampler::run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    auto signs = signs_of(hypervisor_, uuid_);
    std::unique_lock lock(mutex_);
    if (signs && signs->runs) {
      if (!early_) early_ = *signs;
      late_ = std::move(*signs);
    }
    stopping_.wait_for(lock, stop, kInterval, [] { return false; });
  }
}

}  // namespace drover::move
