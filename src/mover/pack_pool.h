// SPDX-License-Identifier: Apache-2.0
// Workers that turn batches into the payloads of PACKED frames. What waits is bounded by the
// session's windows, not here. Owns its threads; any thread may push.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "content/batch.h"
#include "mover/chunk.h"
#include "mover/frame.h"
#include "mover/pack_choice.h"

namespace drover::mover {

struct PackJob {
  StreamId stream = kNoStream;
  std::uint64_t offset = 0;  // of the range, in its stream
  content::Batch batch;      // to mend: only its operations
  Chunk mend_from;           // the range's raw bytes, if a miss is to be mended; else empty
  bool trial = false;        // measure all ways with it, once it is done
  // Null: not by a running way. Jobs with the same one are done in turn, in the order of push().
  std::shared_ptr<content::RunningPacker> running = {};
};

// A vector as a chunk, without a copy.
Chunk chunk_of(std::vector<std::uint8_t> bytes);

class PackPool {
 public:
  // On a worker's thread, in no order of ranges; must not destroy the pool.
  using Done = std::function<void(StreamId stream, std::uint64_t offset, Chunk payload)>;

  PackPool(unsigned workers, PackChoice& choice, Done done);
  // Drops what waits and joins.
  ~PackPool();

  // Never waits.
  void push(PackJob job);

 private:
  void work();
  std::deque<PackJob>::iterator next_job();
  void carry_out(PackJob& job);

  PackChoice& choice_;
  const Done done_;
  std::mutex mutex_;  // guards all below; a leaf
  std::condition_variable changed_;
  std::deque<PackJob> jobs_;
  std::vector<const content::RunningPacker*> busy_;  // a job with it is being done
  bool stopped_ = false;
  std::vector<std::jthread> workers_;
};

// How many workers this machine deserves: its processors, at most kPackWorkersMax.
unsigned pack_workers();

}  // namespace drover::mover
