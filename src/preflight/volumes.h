// SPDX-License-Identifier: Apache-2.0
// Disks that are volumes of pools of block devices (hypervisor/volume_pool.h), at the source, or
// become ones at the destination. Private to src/preflight.
#pragma once

#include "preflight/destination_view.h"
#include "preflight/source_facts.h"

namespace drover::preflight {

// `measured`: the same disk as its host knows it.
bool is_on_volume(const DiskFacts& disk, const Disk* measured);
// REQUIRES: is_on_volume.
void check_source_volume(const SourceFacts& facts, const DiskFacts& disk, const Disk* measured,
                         Findings& findings);

// Puts the disks into volumes for which the request names one of view.volume_pools, which know of
// them from then on. After place_items, which gives them their folders.
void place_volumes(DestinationView& view, const MoveRequest& request);
void check_destination_volumes(const DestinationView& view, Findings& findings);

}  // namespace drover::preflight
