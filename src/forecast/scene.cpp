// SPDX-License-Identifier: Apache-2.0
#include "forecast/scene.h"

#include <algorithm>

namespace drover::forecast {

// Of what was spared only the sum is kept; a disk that is still there is worth more than memory.
// Forecasts of earlier releases have a rate of 0 where nothing was to be measured.
Scene scene_of(const Plan& plan, const Convergence& convergence) {
  const Forecast& made = *plan.forecast;
  Scene scene;
  scene.kind = plan.kind;
  scene.compress = made.strategies.empty() || made.strategies.front().strategy != "direct";
  scene.executes = plan.vm.state == VmState::kRunning;
  scene.memory = plan.vm.state == VmState::kOff ? made.memory : plan.vm.memory;
  scene.memory_used = std::min(made.memory, scene.memory);
  if (made.dirty_rate && (made.dirty_rate->value > 0 || plan.request.measure))
    scene.dirty_rate = made.dirty_rate;
  scene.dirty_set = made.dirty_set;
  scene.dirty_age = made.dirty_age;
  scene.disks = made.disks;
  scene.spared_disks = std::min(made.spared, made.disks);
  scene.spared_memory =
      std::min(ByteCount{made.spared.bytes - scene.spared_disks.bytes}, scene.memory_used);
  scene.link = made.link_rate;
  scene.link_age = made.link_age;
  scene.bandwidth = bandwidth_of(plan);
  scene.read = made.read_rate;
  scene.write = made.write_rate;
  scene.one_device = plan.kind == MoveKind::kStorage;
  scene.convergence = convergence;
  scene.verification = plan.request.verification;
  return scene;
}

// Forecasts of earlier releases know only what was asked for.
BytesPerSecond bandwidth_of(const Plan& plan) {
  const bool known = plan.forecast && plan.forecast->bandwidth.value > 0;
  return known ? plan.forecast->bandwidth : plan.request.bandwidth;
}

bool is_guest_unknown(const Scene& scene) {
  return scene.kind == MoveKind::kLive && scene.executes && !scene.dirty_rate;
}

std::string_view strategy_of(const Scene& scene) {
  switch (scene.kind) {
    case MoveKind::kStorage:
      return "storage";
    case MoveKind::kQuick:
      return "quick";
    case MoveKind::kOffline:
      return "offline";
    case MoveKind::kLive:
      break;
  }
  return scene.compress ? "compress" : "direct";
}

}  // namespace drover::forecast
