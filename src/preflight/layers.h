// SPDX-License-Identifier: Apache-2.0
// Whole files that travel before a VM's disks (model/plan.h, FilePlacement): the layers that its
// images are built on, the memory of its checkpoints, and discs. Pure.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/host.h"
#include "model/plan.h"
#include "preflight/preflight.h"

namespace drover::preflight {

// Their places on the destination, chosen as for disks. Of disks that become one image, and with
// `request.flatten`, no layers.
std::vector<FilePlacement> place_files(const Vm& measured,
                                       std::span<const DiskPlacement> placements,
                                       const MoveRequest& request,
                                       std::span<const std::string> folders,
                                       const HostSettings& settings);

// "memory of NAME"
std::string memory_item(const std::string& checkpoint);

// The disc's file can be sent before the disks: it is raw, and no guest writes it meanwhile.
bool can_travel(const Disk& disc, VmState state);

// Those that do, as they were asked to (--media copy).
std::vector<Disk> travelling_discs(const MoveRequest& request, const Vm& vm);

// The file is such a disc.
bool is_disc(const Vm& vm, const FilePlacement& file);

// The layers of one disk, nearest first.
std::vector<FilePlacement> layers_of(const Plan& plan, std::string_view target);

// The disk's image stands on layers at the destination too.
bool stays_a_chain(const Plan& plan, std::string_view target);

}  // namespace drover::preflight
