// SPDX-License-Identifier: Apache-2.0
// Sharing the content of disks among the VMs of a move group (docs/groups.md): which VMs of this
// host belong to which, and the images of theirs that the mover of a move to us may read. Only what
// this host's administrator allows (the setting `groups`). Any thread.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "model/plan.h"
#include "model/vm.h"
#include "move/world.h"

namespace drover::move {

// A VM came here by a move, in this group or in none. May run twice.
Status came_in_group(World& world, std::string_view vm_uuid, std::string_view group);

// The same for a move that is being settled, while its record still proves that the VM came by it:
// whose word "settle" is, does not. Without that nothing changes.
Status settle_group(World& world, const gate::RecordKey& record, const Plan& plan);

// Forgets what is known of VMs that are no longer here. Only logs errors: nothing is used of a VM
// that libvirt does not know.
void forget_gone_members(World& world);

// The images of other VMs of the plan's group, open for reading, beneath folders that the
// administrator allows, following no link: of who came last first, until they have twice as
// much as the VM that comes, at most kGroupFilesMax. None without a group, or if it is not allowed
// here. What cannot be opened is left out and logged: the move is only slower.
std::vector<UniqueFd> open_group(World& world, const Plan& plan);

// The plan's line about it; nothing without a group.
std::optional<Finding> group_note(World& world, const MoveRequest& request, const Vm& vm);

}  // namespace drover::move
