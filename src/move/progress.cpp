// SPDX-License-Identifier: Apache-2.0
#include "move/progress.h"

#include <algorithm>

namespace drover::move {
namespace {

double fraction(ByteCount done, ByteCount total) {
  if (total.bytes == 0) return 0;
  return std::min(1.0, static_cast<double>(done.bytes) / static_cast<double>(total.bytes));
}

std::chrono::milliseconds seconds_to_ms(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

}  // namespace

ProgressMeter::ProgressMeter(bool has_disks, Clock::time_point started, int percent)
    : has_disks_(has_disks), started_(started), last_(started), percent_(percent) {}

BytesPerSecond ProgressMeter::rate(ByteCount done, ByteCount& last_done, double& smoothed,
                                   double seconds) const {
  const double now = seconds > 0 ? static_cast<double>((done - last_done).bytes) / seconds : 0;
  smoothed = smoothed == 0 ? now : smoothed * 0.8 + now * 0.2;
  last_done = done;
  return {static_cast<std::uint64_t>(smoothed)};
}

Progress ProgressMeter::sample(const JobProgress& job, Clock::time_point now) {
  const double seconds = std::chrono::duration<double>(now - last_).count();
  last_ = now;
  Progress progress;
  progress.elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(now - started_);
  progress.phase = job.copying_memory ? Phase::kCopyMemory : Phase::kCopyDisks;

  progress.disks = {job.disks_done, job.disks_total, {}, {}};
  progress.disks.rate = rate(job.disks_done, last_disks_, disks_rate_, seconds);
  // Memory is done where it need not be sent again; what was sent beyond that was sent for nothing.
  const ByteCount settled = job.memory_total - job.memory_left;
  progress.memory = {settled, job.memory_total, {}, job.memory_done - settled};
  progress.memory.rate = rate(job.memory_done, last_memory_, memory_rate_, seconds);

  const double memory_from = has_disks_ ? 50 : 0;
  double percent = memory_from * fraction(job.disks_done, job.disks_total);
  if (job.copying_memory) {
    percent = memory_from + (99 - memory_from) * fraction(settled, job.memory_total);
  }
  percent_ = std::clamp(static_cast<int>(percent), percent_, 99);
  progress.percent = percent_;
  estimate_time_left(progress, job);
  return progress;
}

// Least: what is left now at the rate seen now. Most: the guest keeps dirtying for as long as that
// takes, once more, and disks are followed by the whole memory. No estimate while nothing moves.
void ProgressMeter::estimate_time_left(Progress& progress, const JobProgress& job) const {
  const double dirty = static_cast<double>(job.dirty_pages_per_second * job.page_size);
  if (job.copying_memory) {
    if (memory_rate_ < 1) return;
    const double least = static_cast<double>(job.memory_left.bytes) / memory_rate_;
    progress.left_least = seconds_to_ms(least);
    if (dirty >= 0.9 * memory_rate_)
      return;  // does not converge at this rate: there is no upper end
    progress.left_most = seconds_to_ms(least / (1 - dirty / memory_rate_) + 2);
    return;
  }
  if (disks_rate_ < 1) return;
  const double least = static_cast<double>((job.disks_total - job.disks_done).bytes) / disks_rate_;
  progress.left_least = seconds_to_ms(least);
  progress.left_most =
      seconds_to_ms(least * 1.5 + static_cast<double>(job.memory_total.bytes) / disks_rate_ + 2);
}

}  // namespace drover::move
