// SPDX-License-Identifier: Apache-2.0
// What this host still has of a VM that comes to it: the disks that it put aside when the VM left
// for the very peer which now moves it back, and unfinished copies of moves from that peer which
// failed. They are only read, so disks stay what they are: they can be restored. Any thread.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "hypervisor/disk_image.h"
#include "model/plan.h"
#include "move/job.h"
#include "move/world.h"

namespace drover::move {

// The files of the newest moves (two at most) of that VM between here and that peer, the newest
// first; empty: none. Of a VM that another peer has, or another VM, nothing: what a peer may learn
// of is only what it gave or got.
Result<std::vector<QuarantinedDisk>> residue_of(World& world, std::string_view vm_uuid,
                                                std::string_view peer);

// Opens them for reading: beneath folders that the administrator allows, following no link, and
// only the very files that the journal knows. What cannot be opened is left out and logged: a move
// without residue is only slower. At most kOwnDisksMax.
std::vector<UniqueFd> open_residue(World& world, std::string_view vm_uuid, std::string_view peer);

// Whether what this move left is an unfinished copy, which nobody must take for a disk.
bool is_unfinished(World& world, std::string_view move_id);

// In place of deleting a file that an undone move made here: puts it aside like a disk in
// quarantine, if it is worth it (64 MiB allocated, and room for as much again). False: it is the
// caller's to delete. May run twice. REQUIRES: the move never runs the VM here, and no QEMU has the
// file.
bool keep_unfinished(World& world, const DestinationJob& job, const KnownFile& file,
                     const FileIdentity& identity);

// Puts aside, until somebody drops it, what the VM wrote here before its source took it back
// (DestinationJob::abandoned). May run twice.
Status keep_abandoned(World& world, const DestinationJob& job, const KnownFile& file,
                      const FileIdentity& identity);

// The plan's line about it.
std::optional<Finding> residue_note(World& world, std::string_view vm_uuid, std::string_view peer);

}  // namespace drover::move
