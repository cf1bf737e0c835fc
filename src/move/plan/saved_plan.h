// SPDX-License-Identifier: Apache-2.0
// Memory that is kept of a VM that is off, in the plan of an offline move or a storage move. Any
// thread.
#pragma once

#include <vector>

#include "model/plan.h"
#include "move/world.h"
#include "preflight/preflight.h"

namespace drover::move {

// What its guest goes on with becomes `view.live_xml`; without kept memory nothing changes. What is
// to be said of it: a note, or the blocker that keeps it here.
std::vector<Finding> look_at_saved_memory(World& world, preflight::SourceView& view);
// Of a storage move, likewise; the view stays as it is.
std::vector<Finding> look_at_saved_memory_here(World& world, const preflight::SourceView& view);
// Of a destination of an earlier release, which would leave it behind.
Finding saved_memory_left_behind(const preflight::SourceView& view);

}  // namespace drover::move
