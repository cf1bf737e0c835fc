// SPDX-License-Identifier: Apache-2.0
// The destination of one VM: the best possible host, or the first of a list of candidates that
// takes it (docs/evacuate.md). Asks hosts; begins nothing by itself but the continuation of a move
// that failed and has candidates left. Any thread; continuations are made by one thread of its own.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "model/evacuation.h"
#include "model/move.h"
#include "place/picture.h"

namespace drover::place {

// What it needs of the engine; a seam for tests.
class Plans {
 public:
  virtual ~Plans() = default;
  virtual Result<Plan> plan(const MoveRequest& request) = 0;
  virtual Result<Move> start(const MoveRequest& request) = 0;
  virtual std::vector<Move> moves() = 0;  // newest first
};

class Placer {
 public:
  // All outlive it.
  Placer(Plans& plans, std::function<Picture()> look) : plans_(plans), look_(std::move(look)) {}
  ~Placer() { stop(); }

  // Continues what failed just before a restart; call once, after the engine's recover().
  void recover();
  void stop();
  // The same without waiting.
  void leave() { worker_.request_stop(); }

  // kNotFound: no such VM here, or no such host.
  Result<BestChoice> best(const BestRequest& request);
  // The plan to the first destination that takes the VM, of `destination` and the candidates after
  // it; those before it are in its request as `passed`. If none does: the first plan that says why,
  // else an error.
  Result<Plan> plan(const MoveRequest& request);
  Result<Move> start(const MoveRequest& request);
  // A move has ended: one that failed and has candidates left goes on to the next. At once.
  void take(const Move& move);

 private:
  void work(std::stop_token stop);
  void go_on(const Move& failed);

  Plans& plans_;
  const std::function<Picture()> look_;
  std::mutex mutex_;  // guards failed_
  std::condition_variable_any changed_;
  std::vector<Move> failed_;
  std::jthread worker_;
};

}  // namespace drover::place
