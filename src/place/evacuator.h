// SPDX-License-Identifier: Apache-2.0
// The evacuations and returns of this host (docs/evacuate.md): planned, begun, kept in the journal,
// taken up after a restart, ended. At most one goes on at a time. One thread; any thread may call
// any function.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.h"
#include "journal/host_book.h"
#include "journal/move_journal.h"
#include "model/evacuation.h"
#include "place/ground.h"

namespace drover::place {

class Evacuator {
 public:
  // All outlive it. `host`: this host's name.
  Evacuator(journal::MoveJournal& journal, journal::HostBook& book, Ground& ground,
            std::string host)
      : journal_(journal), book_(book), ground_(ground), host_(std::move(host)) {}
  ~Evacuator() { stop(); }

  // Takes up what the journal holds, and goes on with it. Call once, after the engine's recover().
  Status recover();
  // Leaves everything as it is; moves go on.
  void stop();
  // The same without waiting.
  void leave() { worker_.request_stop(); }

  // What it would do: the timetable, and what cannot move and why. Changes nothing. Both:
  // kInvalidArgument: a host to itself, unknown hosts, nobody left to go to; kNotFound: nothing to
  // bring back; kConflict: one goes on.
  Result<Evacuation> plan(const EvacuationRequest& request);
  Result<Evacuation> start(const EvacuationRequest& request);
  // Newest first.
  std::vector<Evacuation> list() const;
  // Of the one that goes on: nothing more begins. Of one that has ended: the host may be chosen
  // again. kConflict: there is nothing to end.
  Result<Evacuation> cancel(std::string_view requested_by);

  // This host is being emptied, or was: no plan of any host chooses it.
  bool evacuated() const { return evacuated_; }
  // A move of this host began or ended: look again. From any thread, at once.
  void look();

 private:
  Result<Evacuation> prepare(const EvacuationRequest& request, const Picture& picture) const;
  Status check(const EvacuationRequest& request) const;
  std::vector<Evacuee> to_bring_back(const Picture& picture) const;
  void work(std::stop_token stop);
  Evacuation run(Evacuation job, std::stop_token stop);
  Status save(Evacuation job);
  Status write(const Evacuation& job);
  std::string cancelled_by(std::string_view job) const;

  journal::MoveJournal& journal_;
  journal::HostBook& book_;
  Ground& ground_;
  const std::string host_;
  std::atomic<bool> evacuated_ = false;
  std::mutex starting_;                         // one start or cancel at a time
  std::mutex saving_;                           // guards written_; taken after starting_
  std::map<std::string, std::string> written_;  // by id: what the journal holds of those that go on
  mutable std::mutex mutex_;                    // guards all below but the thread; taken last
  std::condition_variable_any changed_;
  std::vector<Evacuation> jobs_;  // newest first, at most kJobsKept
  bool look_wanted_ = false;
  // The next job may begin before the run of this one has seen its end.
  struct Cancelled {
    std::string job, by;
  } cancelled_;
  std::jthread worker_;
};

}  // namespace drover::place
