// SPDX-License-Identifier: Apache-2.0
#include "mover/pack_pool.h"

#include <algorithm>
#include <utility>

#include <sched.h>

#include "mover/limits.h"
#include "mover/processor_time.h"

namespace drover::mover {

Chunk chunk_of(std::vector<std::uint8_t> bytes) {
  auto owner = std::make_shared<std::vector<std::uint8_t>>(std::move(bytes));
  const std::size_t size = owner->size();
  std::uint8_t* first = owner->data();
  return {std::shared_ptr<std::uint8_t[]>(std::move(owner), first), size};
}

PackPool::PackPool(unsigned workers, PackChoice& choice, Done done)
    : choice_(choice), done_(std::move(done)) {
  for (unsigned i = 0; i < workers; ++i) workers_.emplace_back([this] { work(); });
}

PackPool::~PackPool() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    jobs_.clear();
    changed_.notify_all();
  }
  workers_.clear();
}

void PackPool::push(PackJob job) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return;
  jobs_.push_back(std::move(job));
  changed_.notify_one();
}

void PackPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopped_ || next_job() != jobs_.end(); });
    if (stopped_) return;
    const auto next = next_job();
    PackJob job = std::move(*next);
    jobs_.erase(next);
    if (job.running) busy_.push_back(job.running.get());
    lock.unlock();
    carry_out(job);
    lock.lock();
    if (job.running) {
      std::erase(busy_, job.running.get());
      changed_.notify_one();
    }
  }
}

// The first whose turn it is.
std::deque<PackJob>::iterator PackPool::next_job() {
  return std::ranges::find_if(jobs_, [this](const PackJob& job) {
    return !job.running || std::ranges::find(busy_, job.running.get()) == busy_.end();
  });
}

void PackPool::carry_out(PackJob& job) {
  const auto started = PackChoice::Clock::now();
  const auto used = thread_processor_time();
  if (job.mend_from.size > 0) job.batch = content::mend(job.mend_from.view(), job.batch.ops);
  const std::size_t way = choice_.way();
  const auto packing = PackChoice::Clock::now();
  Chunk payload = chunk_of(content::pack(job.batch, kPackWays[way], job.running.get()));
  const auto done = PackChoice::Clock::now();
  choice_.packed_for(thread_processor_time() - used, done - started);
  if (!content::stands_alone(payload.view())) {
    choice_.ran(way, job.batch.literals.size(), done - packing);
  }
  done_(job.stream, job.offset, std::move(payload));
  if (job.trial) choice_.try_all(job.batch, PackChoice::Clock::now());
}

// From the affinity mask: in the sandbox no file says how many there are.
unsigned pack_workers() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (::sched_getaffinity(0, sizeof mask, &mask) != 0) return 1;
  return std::clamp<unsigned>(static_cast<unsigned>(CPU_COUNT(&mask)), 1u, kPackWorkersMax);
}

}  // namespace drover::mover
