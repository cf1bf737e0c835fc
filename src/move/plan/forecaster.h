// SPDX-License-Identifier: Apache-2.0
// Gives plans their forecast: looks at the guest, the disks and the way, and asks the journal how
// earlier moves went. What was measured is used again for a while. Any thread.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "forecast/scene.h"
#include "hypervisor/hypervisor.h"
#include "model/move.h"
#include "model/plan.h"
#include "move/plan/rate_book.h"

namespace drover::move {

struct MeasureReply;
struct World;

class Forecaster {
 public:
  Forecaster();

  // Before the plan's checks, so that the guest is measured while they run. Returns at once; errors
  // only make the forecast poorer. In a hurry nothing is begun.
  void begin(World& world, const MoveRequest& request);
  // Of a plan that may be carried out. Takes as long as the way needs to be measured, about half a
  // second, or not even that, and up to a second more for a guest that was not measured just now,
  // or up to five for one on which it depends whether the move can end. In a hurry nothing is
  // measured or waited for, but for a way that nobody has measured for a day. Nothing: there are
  // blockers. REQUIRES: all else of the plan is there.
  std::optional<Forecast> make(World& world, const Plan& plan);

  // Rates of this host's disks, by what was tried (measure.h).
  RateBook& disks() { return disks_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Guest {
    std::optional<BytesPerSecond> rate;  // of memory that it changes, as measured last
    ByteCount set;                       // what it changes again and again; 0: not known
    Clock::time_point measured_at;
    Clock::time_point asked_at;  // when a measurement was last begun for a plan
    Clock::time_point again_at;  // when a longer one was; `rate` and `set` are of both
  };

  // What a forecast is made of, and what its plan is told of that.
  struct Draft {
    forecast::Scene scene;
    std::vector<std::string> notes;
  };

  Draft draft_of(World& world, const Plan& plan, const std::vector<Move>& moves);
  void add_storage(World& world, const Plan& plan, Draft& draft);
  void add_move(World& world, const Plan& plan, const std::vector<Move>& moves, Draft& draft);
  std::optional<MeasureReply> measure(World& world, const Plan& plan, Draft& draft);
  void add_link(World& world, const Plan& plan, Draft& draft);
  std::optional<MeasureReply> recall(World& world, const Plan& plan, const std::vector<Move>& moves,
                                     Draft& draft);
  void add_guest(World& world, const Plan& plan, const std::vector<Move>& moves, Draft& draft);
  void look_again(World& world, const Plan& plan);
  // What was measured then is the longer look: `rate` and `set` are made of it and of the first.
  static bool is_of_both(const Guest& guest, Clock::time_point measured_at);
  std::optional<AgedRate> dirtying_known(const Plan& plan, const std::vector<Move>& moves);
  BytesPerSecond read_rate(const Plan& plan);
  BytesPerSecond disk_kept(const std::string& what);
  std::optional<GuestLoad> load_of(World& world, const Plan& plan);
  void remember(const std::string& vm, const GuestLoad& load);
  Guest known(const std::string& vm);
  Guest& guest_of(const std::string& vm);  // under mutex_

  RateBook disks_;                                    // there too, as other hosts said
  RateBook links_;                                    // by host and addresses
  std::mutex mutex_;                                  // guards guests_
  std::map<std::string, Guest, std::less<>> guests_;  // by how requests name them; bounded
};

}  // namespace drover::move
