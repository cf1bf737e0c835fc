// SPDX-License-Identifier: Apache-2.0
// One evacuation or return as it goes on: looks at its moves, plans what waits, begins what may
// begin, and sees when nothing more can be done. All that it needs after a restart is in the
// Evacuation; the rest is found out again. One thread.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>

#include "model/evacuation.h"
#include "place/ground.h"
#include "place/timetable_of.h"

namespace drover::place {

// Failed moves of a VM before it is left where it is.
inline constexpr unsigned kAttemptsMost = 4;

class EvacuationRun {
 public:
  using Time = Verdicts::Time;
  // Called whenever the job has changed; writes it down. An error stops the step: what was not
  // written down is not acted upon.
  using Save = std::function<Status(const Evacuation&)>;

  EvacuationRun(Evacuation job, Ground& ground, Save save);

  // Does what can be done now. `time`: for people and forecasts; `now`: for back-off.
  Status step(Time now, std::chrono::system_clock::time_point time);
  // The next step ends it: nothing more begins, what waits in queues is recalled, what has begun
  // goes on.
  void cancel(const std::string& by);
  const Evacuation& job() const { return job_; }

 private:
  void look_at_moves(Time now, const Picture& picture);
  void look_at_move(Evacuee& vm, Time now, const Picture& picture);
  void move_failed(Evacuee& vm, const MoveView& view, Time now);
  bool may_wait_on(const Evacuee& vm, const Picture& picture) const;
  void take_up(Time now, const Picture& picture);
  void find_again(Evacuee& vm, const Picture& picture);
  void end_cancelled();
  Status begin_moves(Time now, const Picture& picture);
  bool begin_move(Evacuee& vm, Time now);
  bool nothing_more(Time now) const;
  void end(EvacuationState state, std::chrono::system_clock::time_point time);
  void tell(std::string sentence);

  Evacuation job_;
  Ground& ground_;
  const Save save_;
  Verdicts verdicts_;
  std::map<std::string, Time> again_at_;    // by VM: its move failed, and is tried again then
  std::map<std::string, Time> back_since_;  // by VM: it has moved, and is seen where it was
  Time hopeless_since_{};                   // epoch: something could begin
};

// "7 of 8 VMs have left host1; 1 stays."
std::string summary(const Evacuation& job);

}  // namespace drover::place
