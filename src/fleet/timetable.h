// SPDX-License-Identifier: Apache-2.0
// When each move starts and ends: moves are played through under the hosts' limits, room and links
// (docs/fleet.md, "What moves when"). Pure; one thread, one run each.
#pragma once

#include <functional>
#include <queue>
#include <vector>

#include "fleet/link_shares.h"
#include "fleet/room.h"

namespace drover::fleet {

// At most so many moves at once on a host, whatever its live-moves say.
inline constexpr unsigned kAtOnceMost = 16;
// Starts by moves ranked behind it, on its hosts, that a waiting move lets happen.
inline constexpr unsigned kPassedMost = 8;

// A guest that changes its memory is given so many times its dirty rate, by starting fewer moves
// beside it: an eighth of what it sends is then pages again.
inline constexpr double kShareOverDirty = 8;

struct TimedMove {
  VmIndex vm = kNone;
  HostIndex source = kNone;
  HostIndex destination = kNone;
  std::uint32_t storage = kNone;
  bool running = false;   // was under way before the plan
  bool gives_up = false;  // a host is unreachable: it only holds its slots, for a while
  // Filled by run().
  bool planned = false;  // it starts, in this plan
  Seconds start{}, end{};
  Seconds copy_start{}, copy_end{};
  double bytes = 0;           // that it sends, pages again included
  bool outruns_link = false;  // at some time the guest wrote faster than its share carried
};

// From `at` on, until the move's next step, it has so much of the links.
struct ShareStep {
  Seconds at{};
  MoveIndex move = 0;
  double share = 0;  // bytes a second
};

class Timetable {
 public:
  // Another destination for a move that cannot start, with what room there is now, or kNone.
  using Elsewhere = std::function<HostIndex(MoveIndex, const Room&)>;

  // `moves`: running ones first, then in the order of rank. The fleet outlives it.
  Timetable(const Fleet& fleet, std::vector<TimedMove> moves, const MoveTiming& timing);
  void run(const Elsewhere& elsewhere);

  const std::vector<TimedMove>& moves() const { return moves_; }
  const std::vector<ShareStep>& shares() const { return steps_; }
  Seconds end() const { return end_; }

 private:
  enum class Part { kWaits, kPrepares, kCopies, kFinishes, kEnded };
  struct Progress {
    Part part = Part::kWaits;
    double disk_left = 0, memory_left = 0;
    double share = 0;
    double updated = 0;         // seconds
    std::uint32_t version = 0;  // of the next event
    unsigned passed = 0;
  };
  struct Event {
    double at;
    MoveIndex move;
    std::uint32_t version;
    bool operator>(const Event& other) const {
      return std::pair(at, move) > std::pair(other.at, other.move);
    }
  };

  void take_up_running();
  void start_anything();
  void start_what_can(std::vector<HostIndex> hosts);
  MoveIndex first_waiting(const std::vector<HostIndex>& hosts, MoveIndex from) const;
  bool can_start(MoveIndex move) const;
  bool leaves_room_for_held(HostIndex host, MoveIndex move) const;
  bool has_share(HostIndex host, MoveIndex move) const;
  bool source_has_share(MoveIndex move) const;
  bool destination_has_share(MoveIndex move) const;
  double share_wanted(MoveIndex move) const;
  void start(MoveIndex move, std::vector<HostIndex>& freed);
  void count_passed(MoveIndex started);
  void hold(HostIndex host);
  void happen(const Event& event);
  void follow_shares();
  void advance(MoveIndex move);
  void schedule(MoveIndex move, double at);
  bool start_elsewhere(const Elsewhere& elsewhere);
  bool lift_holds();
  bool has_slot(HostIndex host) const { return used_[host] < limit_[host]; }
  const FleetVm& vm(MoveIndex move) const { return fleet_.vms[moves_[move].vm]; }

  const Fleet& fleet_;
  const MoveTiming timing_;
  std::vector<TimedMove> moves_;
  std::vector<Progress> progress_;  // by move
  Room room_;
  LinkShares links_;
  std::vector<unsigned> used_, limit_;                    // slots, by host
  std::vector<MoveIndex> held_for_;                       // by host; kNone: for nobody
  std::vector<std::vector<MoveIndex>> leaving_, coming_;  // under way, by host
  std::vector<std::vector<MoveIndex>> waiting_;  // by host (either end), in the order of rank
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::vector<ShareStep> steps_;
  double now_ = 0;
  Seconds end_{};
  std::size_t under_way_ = 0;
};

}  // namespace drover::fleet
