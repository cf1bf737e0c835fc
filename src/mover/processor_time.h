// SPDX-License-Identifier: Apache-2.0
// Processor time used so far: what a clock on the wall cannot tell where others want the processor
// too. Any thread.
#pragma once

#include <chrono>
#include <ctime>

namespace drover::mover {

inline std::chrono::nanoseconds processor_time(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}
inline std::chrono::nanoseconds thread_processor_time() {
  return processor_time(CLOCK_THREAD_CPUTIME_ID);
}
inline std::chrono::nanoseconds process_processor_time() {
  return processor_time(CLOCK_PROCESS_CPUTIME_ID);
}

}  // namespace drover::mover
