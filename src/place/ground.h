// SPDX-License-Identifier: Apache-2.0
// What an evacuation stands on: the fleet to look at, and moves to begin, ask for, and recall, on
// this host or on another. A seam: the real one is RealGround, tests have their own.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "model/plan.h"
#include "place/picture.h"
#include "place/verbs.h"

namespace drover::place {

class Ground {
 public:
  virtual ~Ground() = default;

  // Any thread; within a few seconds.
  virtual Picture look() = 0;

  // `source`: the host that the VM is on; `request.vm` is its UUID. An error says why the move may
  // not begin as it is asked for, with the fixes. Several at a time.
  virtual Status check(std::string_view source, const MoveRequest& request) = 0;
  virtual Result<MoveView> start(std::string_view source, const MoveRequest& request) = 0;
  // kNotFound: that host knows of no such move.
  virtual Result<MoveView> view(std::string_view source, std::string_view move) = 0;
  // Ends a move that waits in its source's queue. kConflict: it does not wait any more.
  virtual Status recall(std::string_view source, std::string_view move) = 0;
  // A move of this VM that leaves this host and has not ended; or nothing.
  virtual std::string moving(std::string_view vm_uuid) = 0;
};

}  // namespace drover::place
