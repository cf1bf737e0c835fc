// SPDX-License-Identifier: Apache-2.0
// In which order waiting moves are tried, and when again (docs/queue.md). Pure: the clock is handed
// in. One thread.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/move.h"

namespace drover::move {

struct Waiting {
  std::string id;
  std::string destination;
  QueuePlace place;
  std::optional<std::chrono::system_clock::time_point> begin_at = {};  // not before
  MoveKind kind = MoveKind::kLive;
  std::string epoch = {};  // the destination's name of it
};

// High priority first, then who came first. Held ones keep their places.
void put_in_order(std::vector<Waiting>& waiting);

// kInvalidArgument: the time at which the move shall begin is over, or more than a year ahead.
Status check_begin(const MoveRequest& request, std::chrono::system_clock::time_point now);

class QueuePacing {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr unsigned kPassedMost = 8;

  // May this destination be asked now?
  bool may_ask(std::string_view destination, Time now) const;
  // It had no place: again in half a second to one and a half, so that hosts which ask each other
  // do not meet for ever. `chance`: any number.
  void refused(std::string_view destination, Time now, unsigned chance);
  // It did not answer, or takes nothing.
  void failed(std::string_view destination, Time now);
  void granted(std::string_view destination);
  // Its last answer was that it had no place.
  bool is_full(std::string_view destination) const;

  // A move began while these waited in front of it for their destinations.
  void passed(const std::vector<std::string>& in_front);
  // Nothing behind it may begin any more: it was passed often enough.
  bool is_kept_for(std::string_view id) const;
  // Only these still wait.
  void forget_others(const std::vector<Waiting>& waiting);

 private:
  struct Pause {
    Time until;
    bool full = false;
  };
  std::map<std::string, Pause, std::less<>> pauses_;     // by destination
  std::map<std::string, unsigned, std::less<>> passed_;  // by move
};

}  // namespace drover::move
