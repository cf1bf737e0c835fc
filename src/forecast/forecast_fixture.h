// SPDX-License-Identifier: Apache-2.0
// Scenes and finished moves for tests.
#pragma once

#include <chrono>
#include <string>

#include "forecast/predict.h"

namespace drover::forecast {

inline constexpr const char* kVm = "6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab";
inline constexpr BytesPerSecond kGigabit{118'000'000};
inline constexpr BytesPerSecond kFastEthernet{11'800'000};

// A VM of 1 GiB, half of it in use, with 650 MB of disk, over 1 Gbit/s.
inline Scene gigabit_scene() {
  Scene scene;
  scene.executes = true;
  scene.memory = gib(1);
  scene.memory_used = mib(512);
  scene.dirty_rate = BytesPerSecond{2'000'000};
  scene.disks = {650'000'000};
  scene.link = kGigabit;
  return scene;
}

// Whose phases took so long, and whose plan was forecast from that scene.
struct Took {
  double before = 0.3, disks = 4, memory = 3, after = 0.6;  // seconds
  std::chrono::milliseconds pause{150};
  ByteCount wire{600'000'000};
};

inline Move finished(const Scene& scene, const Took& took, const std::string& vm = kVm) {
  const auto span = [](double seconds) {
    return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
  };
  Move move;
  move.id = "k3f9x2qa";
  move.state = MoveState::kDone;
  move.source = "host1";
  move.destination = "host2";
  move.plan.kind = scene.kind;
  move.plan.vm.uuid = vm;
  move.plan.vm.state = scene.executes ? VmState::kRunning : VmState::kOff;
  move.plan.vm.memory = scene.memory;
  move.plan.request.bandwidth = scene.bandwidth;
  move.plan.forecast = make_forecast(scene, "host2", vm, {});
  move.convergence = scene.convergence;
  auto now = std::chrono::system_clock::time_point(std::chrono::hours(500'000));
  move.started_at = now - std::chrono::minutes(3);  // in the queue
  const auto phase = [&](Phase which, double seconds) {
    move.phases.push_back({which, now, now + span(seconds)});
    now += span(seconds);
  };
  phase(Phase::kPlan, 1.5);
  phase(Phase::kPrepare, took.before);
  phase(Phase::kCopyDisks, took.disks);
  phase(Phase::kCopyMemory, took.memory);
  phase(Phase::kSettle, took.after);
  move.ended_at = now;
  Report& report = move.report.emplace();
  report.pause = took.pause;
  report.bytes_on_wire = took.wire;
  report.disks_sent = scene.disks;
  report.memory_sent = scene.memory_used;
  report.kinds.emplace().packed = scene.disks + scene.memory_used;
  return move;
}

}  // namespace drover::forecast
