// SPDX-License-Identifier: Apache-2.0
// Makes the plan of a storage move. Asks this host alone; reads only. Any thread.
#pragma once

#include "base/error.h"
#include "move/plan/planner.h"
#include "move/world.h"

namespace drover::move {

// As plan_move().
Result<Planned> plan_storage_move(World& world, const MoveRequest& request);

}  // namespace drover::move
