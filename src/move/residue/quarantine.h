// SPDX-License-Identifier: Apache-2.0
// What the source keeps of a VM that left: its disks, put aside under another name, for a while.
// Acts on recorded device and inode only, and never on a file that a domain or a backing chain
// still names. Any thread; one at a time.
#pragma once

#include <string_view>
#include <vector>

#include "base/error.h"
#include "move/job.h"
#include "move/world.h"

namespace drover::move {

// kConflict: a domain of this host other than `vm_uuid` names the file, directly or below one of
// its images.
Status check_unused(World& world, const std::string& path, std::string_view vm_uuid);

// The same as a question. An error: libvirt does not say.
Result<bool> is_used(World& world, const std::string& path, std::string_view vm_uuid);

// Puts the job's files aside, or deletes them, as its request says. REQUIRES: the destination has
// proven that it runs the VM and has everything on stable storage. May run twice.
Status quarantine_files(World& world, const SourceJob& job);

// Gives a move's disks their old names back. kConflict while the VM is defined here or runs on any
// paired host.
Status restore_quarantine(World& world, std::string_view move_id);
// Deletes a move's disks for good.
Status drop_quarantine(World& world, std::string_view move_id);
// Deletes what is past its time.
void expire_quarantine(World& world);

}  // namespace drover::move
