// SPDX-License-Identifier: Apache-2.0
// A plan that was shown, held against the one that would be carried out a moment later. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "move/plan/planner.h"

namespace drover::move {

// What is not as it was, one sentence each: the VM's definition, state, devices and disks, where
// they and the files they stand on land, and the way there. What changes by itself, such as the
// room that disks take, is left out; so are findings, which check_acceptance() holds against what
// was accepted.
std::vector<std::string> changed_since(const Planned& shown, const Planned& now);

// kConflict with those sentences as causes.
Status check_not_stale(const Planned& shown, const Planned& now);

}  // namespace drover::move
