// SPDX-License-Identifier: Apache-2.0
// Keeps the links of one move up: which are missing, on which path each of them goes, and who is
// being dialled. Dialling takes seconds where a network is cut, so each path has a thread for it
// (docs/threads.md) and no call here waits for one. One thread calls; the destructor waits for
// attempts under way.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/unique_fd.h"
#include "net/dial.h"

namespace drover::move {

// From an address of ours (empty: as the routes say) to one of the destination.
struct LinkPath {
  std::string from;
  net::Address to;
};

// A link's number says which path it takes, so that whoever knows the plan knows it too, after a
// restart of droverd as well: 1, 2, 1, 2, … of two. REQUIRES: number and paths are not 0.
std::size_t path_of(std::uint32_t number, std::size_t paths);

struct DialledLink {
  std::uint16_t number = 0;
  Result<UniqueFd> link;  // connected, its preamble sent
};

class LinkKeeper {
 public:
  // `first_number`: a path's first link gets this number, or the next one that is the path's.
  LinkKeeper(std::string move_id, std::size_t paths, std::uint16_t first_number = 1);
  ~LinkKeeper();

  // Dials on each path that has fewer than `wanted` links, unless it is being dialled already, or
  // failed within the last second. `up`: numbers of the links that are up; one that was dialled a
  // moment ago counts too, for its handshake is under way. REQUIRES: as many paths as said.
  void keep(const std::vector<LinkPath>& paths, const std::vector<std::uint32_t>& up,
            unsigned wanted, std::chrono::milliseconds limit);
  // The next attempt that ended; nothing at the deadline, or at once if none is under way.
  std::optional<DialledLink> next(Deadline deadline);

 private:
  struct Path {
    std::jthread dialling;
    bool busy = false;                                              // until next() gave its outcome
    std::uint16_t number = 0;                                       // the last one dialled
    Deadline rest = Deadline::after(std::chrono::milliseconds(0));  // after a failure
    Deadline greeting = Deadline::after(std::chrono::milliseconds(0));  // of `number`
  };
  std::uint16_t number_after(std::uint16_t number, std::size_t path) const;

  const std::string move_id_;
  BoundedQueue<DialledLink> ended_;
  std::vector<Path> paths_;
};

}  // namespace drover::move
