// SPDX-License-Identifier: Apache-2.0
// How many moves this host works on at once: those that leave and those that come together, and
// apart from these the moves of disks within the host (docs/queue.md). Nobody waits here: who is
// refused asks again, and has its turn. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "base/deadline.h"
#include "model/host.h"
#include "model/plan.h"
#include "move/queue/auto_limit.h"
#include "move/queue/host_load.h"

namespace drover::move {

class Slots {
 public:
  enum class Way { kOut, kIn, kStorage };

  // A place for a move; false: as many as `limit` have one, or others have waited for longer. Who
  // was refused keeps its turn if it asks again within kTurn. May be repeated.
  bool take(Way way, std::string_view move, MoveLimit limit);
  // The same, but the place is lost after kLease unless keep() comes.
  bool lease(Way way, std::string_view move, MoveLimit limit);
  // A move that is there has a place, whatever the limit.
  void keep(Way way, std::string_view move);
  // Its place, or its turn. May be repeated.
  void give_back(Way way, std::string_view move);
  // What the host does now: where a limit is `auto`, it depends on that. Wanted every two seconds.
  void measured(AutoLimit::Time now, const HostLoad& load);
  // Places of this way, and of those that are counted together with it.
  std::size_t used(Way way = Way::kOut);

  static constexpr std::chrono::seconds kLease{60};
  static constexpr std::chrono::seconds kTurn{3};

 private:
  using Key = std::pair<Way, std::string>;
  struct Turn {
    std::uint64_t number = 0;
    Deadline until = Deadline::never();
  };
  bool enter(Way way, std::string_view move, MoveLimit limit, Deadline until);
  void expire();
  std::size_t count(Way way) const;                                   // REQUIRES: mutex_ held
  bool has_room(Way way, std::size_t before, MoveLimit limit) const;  // likewise

  std::mutex mutex_;  // guards all below
  std::map<Key, Deadline> places_;
  std::map<Key, Turn> turns_;  // of those that were refused
  std::uint64_t last_ = 0;
  AutoLimit between_hosts_, within_host_;
};

// The way of a move that is not a coming one.
Slots::Way way_of(MoveKind kind);
// The limit that holds for a way.
MoveLimit limit_of(Slots::Way way, const HostSettings& settings);
// Why a move has to wait for this host. For people.
std::string full_text(std::string_view host, std::size_t used, const HostSettings& settings,
                      Slots::Way way = Slots::Way::kOut);

}  // namespace drover::move
