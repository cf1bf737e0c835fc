// SPDX-License-Identifier: Apache-2.0
// Whole files that travel before a VM's disks (model/plan.h, FilePlacement): the layers that its
// images are built on, and the memory of its checkpoints. Pure.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/host.h"
#include "model/plan.h"
#include "preflight/preflight.h"

namespace drover::preflight {

// Their places on the destination, chosen as for disks. Of disks that become one image, and with
// `request.flatten`, none.
std::vector<FilePlacement> place_files(const Vm& measured,
                                       std::span<const DiskPlacement> placements,
                                       const MoveRequest& request,
                                       std::span<const std::string> folders,
                                       const HostSettings& settings);

// "memory of NAME"
std::string memory_item(const std::string& checkpoint);

// The layers of one disk, nearest first.
std::vector<FilePlacement> layers_of(const Plan& plan, std::string_view target);

// The disk's image stands on layers at the destination too.
bool stays_a_chain(const Plan& plan, std::string_view target);

}  // namespace drover::preflight
