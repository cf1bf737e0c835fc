// SPDX-License-Identifier: Apache-2.0
#include "move/progress.h"

#include <gtest/gtest.h>

namespace drover::move {
namespace {

using namespace std::chrono_literals;

JobProgress disks(std::uint64_t done_mib, std::uint64_t total_mib) {
  JobProgress job;
  job.active = true;
  job.disks_done = mib(done_mib);
  job.disks_total = mib(total_mib);
  return job;
}

JobProgress memory(std::uint64_t left_mib, std::uint64_t total_mib) {
  JobProgress job = disks(100, 100);
  job.copying_memory = true;
  job.memory_total = mib(total_mib);
  job.memory_left = mib(left_mib);
  job.memory_done = mib(total_mib - left_mib);
  return job;
}

TEST(ProgressMeter, DisksFillTheFirstHalfAndMemoryTheSecond) {
  const auto start = ProgressMeter::Clock::now();
  ProgressMeter meter(true, start);
  EXPECT_EQ(meter.sample(disks(50, 100), start + 1s).percent, 25);
  EXPECT_EQ(meter.sample(disks(100, 100), start + 2s).percent, 50);
  EXPECT_EQ(meter.sample(memory(50, 100), start + 3s).percent, 74);
  EXPECT_EQ(meter.sample(memory(0, 100), start + 4s).percent, 99) << "100 is for the settled move";
}

TEST(ProgressMeter, NeverRunsBackwards) {
  const auto start = ProgressMeter::Clock::now();
  ProgressMeter meter(true, start);
  const int before = meter.sample(memory(10, 100), start + 1s).percent;
  EXPECT_EQ(meter.sample(memory(90, 100), start + 2s).percent, before);
}

TEST(ProgressMeter, GivesNoUpperEndWhenTheGuestDirtiesFasterThanTheLink) {
  const auto start = ProgressMeter::Clock::now();
  ProgressMeter meter(false, start);
  meter.sample(memory(100, 100), start + 1s);
  JobProgress job = memory(50, 100);
  job.dirty_pages_per_second = 1'000'000;
  const Progress progress = meter.sample(job, start + 2s);
  EXPECT_TRUE(progress.left_least);
  EXPECT_FALSE(progress.left_most);
}

}  // namespace
}  // namespace drover::move
