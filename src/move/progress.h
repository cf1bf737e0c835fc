// SPDX-License-Identifier: Apache-2.0
// Turns the hypervisor's counters into what a person is shown. One thread: the move's own.
#pragma once

#include <chrono>

#include "hypervisor/hypervisor.h"
#include "model/move.h"

namespace drover::move {

class ProgressMeter {
 public:
  using Clock = std::chrono::steady_clock;
  // `has_disks`: without copied disks the memory takes the whole scale. `percent`: what was shown
  // already.
  ProgressMeter(bool has_disks, Clock::time_point started, int percent = 0);

  // Takes one sample and gives the progress as of `now`. The percentage never runs backwards: disks
  // fill 0-50, memory 50-99; 100 comes only with the settled move.
  Progress sample(const JobProgress& job, Clock::time_point now);

 private:
  BytesPerSecond rate(ByteCount done, ByteCount& last_done, double& smoothed, double seconds) const;
  void estimate_time_left(Progress& progress, const JobProgress& job) const;

  const bool has_disks_;
  const Clock::time_point started_;
  Clock::time_point last_;
  ByteCount last_disks_, last_memory_;
  double disks_rate_ = 0;  // bytes per second, smoothed over about five samples
  double memory_rate_ = 0;
  int percent_;
};

}  // namespace drover::move
