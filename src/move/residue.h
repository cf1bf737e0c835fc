// SPDX-License-Identifier: Apache-2.0
// What this host still has of a VM that comes to it: the disks that it put aside when the VM left
// for the very peer which now moves it back. They are only read, so they stay what they are: disks
// that can be restored. Any thread.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "model/plan.h"
#include "move/world.h"

namespace drover::move {

// The disks of the newest move of that VM from here to that peer; empty: none. Of a VM that another
// peer has, or another VM, nothing: what a peer may learn of is only what it gave or got.
Result<std::vector<QuarantinedDisk>> residue_of(World& world, std::string_view vm_uuid,
                                                std::string_view peer);

// Opens them for reading: beneath folders that the administrator allows, following no link, and
// only the very files that the journal knows. What cannot be opened is left out and logged: a move
// without residue is only slower. At most kHeldFilesMax.
std::vector<UniqueFd> open_residue(World& world, std::string_view vm_uuid, std::string_view peer);

// The plan's line about it.
std::optional<Finding> residue_note(World& world, std::string_view vm_uuid, std::string_view peer);

}  // namespace drover::move
