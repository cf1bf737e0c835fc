// SPDX-License-Identifier: Apache-2.0
// Watches VMs for a while after they have arrived (docs/health.md), on behalf of their moves, which
// have ended: they hold no place, and what is found is written into their jobs. One thread asks the
// destinations. Any thread may call any function.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "move/world.h"

namespace drover::move {

class HealthWatch {
 public:
  // `changed` hears of each change of a watched move.
  HealthWatch(World& world, std::function<void(const Move&)> changed);
  ~HealthWatch();

  // Takes up what the journal holds; then the thread begins. Call once.
  void recover();
  // REQUIRES: the move is done and in the journal, with its health to be watched.
  void begin(const Move& move);
  // Leaves the watches as they are: the next droverd goes on.
  void stop();
  // One round over all watched moves, at `now`: the thread's work, and the tests'.
  void look(std::chrono::system_clock::time_point now, const std::stop_token& stop = {});

 private:
  // False: the destination did not answer.
  bool look_at(Move& move, std::chrono::system_clock::time_point now);
  void take_signs(Move& move, GuestSigns signs, std::chrono::system_clock::time_point now);
  void end(Move& move, Health::State state, std::string text = {});
  void keep_quarantine(const Move& move);
  void save(const Move& move);

  World& world_;
  const std::function<void(const Move&)> changed_;
  std::mutex mutex_;  // guards the two below
  std::condition_variable_any changed_or_stopping_;
  std::map<std::string, Move, std::less<>> watched_;  // by id
  std::jthread thread_;
};

}  // namespace drover::move
