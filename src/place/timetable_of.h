// SPDX-License-Identifier: Apache-2.0
// From a picture of the fleet and what is known of moves that may not be, to the timetable of an
// evacuation. Which VM could go to which host is asked of both (Ground::check): what the planner
// knows of them is less than a move's own plan. One thread.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fleet/evacuation.h"
#include "model/evacuation.h"
#include "place/ground.h"

namespace drover::place {

// What was found out of one VM and one host, for a while.
struct Verdict {
  bool possible = false;
  std::string why;
  std::vector<std::string> fixes;
  std::chrono::steady_clock::time_point until;
};

class Verdicts {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // Nothing: not known, or not any more.
  const Verdict* find(const std::string& vm, const std::string& host, Time now) const;
  void put(const std::string& vm, const std::string& host, Verdict verdict);
  void forget_old(Time now);

 private:
  std::map<std::pair<std::string, std::string>, Verdict> known_;
};

// A refused check, for people.
Verdict refusal(const Error& error, Verdicts::Time until);

struct Deciding {
  Ground& ground;
  Verdicts& verdicts;
  Verdicts::Time now;
  // Asks nobody any more after that: what is not asked by then is planned all the same.
  Verdicts::Time ask_until = Verdicts::Time::max();
};

// Plans all VMs of `job` that wait, checks each planned pair that is not known yet, and plans anew
// without those that are refused, until nothing changes. Fills in destination, forecast, why and
// fixes of the VMs that wait, and the order of `job.vms`. Gives the plan's moves that have to begin
// now: indices into job.vms.
Result<std::vector<std::size_t>> decide(Evacuation& job, const Picture& picture,
                                        const Deciding& deciding);

// The move of one VM of the job, as its user would ask for it.
MoveRequest request_for(const Evacuation& job, const Evacuee& vm);

}  // namespace drover::place
