// SPDX-License-Identifier: Apache-2.0
// Disks on volumes of pools of block devices (hypervisor/volume_pool.h), of a plan's. Any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/byte_count.h"
#include "base/error.h"
#include "model/plan.h"
#include "move/job.h"
#include "move/world.h"

namespace drover::move {

// How much of a block device is the disk; nothing: it is an image in a file.
std::optional<ByteCount> volume_at_source(const DiskPlacement& placement);

// What a volume of that path is called.
std::string volume_of(const std::string& path);

// Of one that was to be made when droverd died: it may be there, and may be another by now. Nobody
// but an administrator deletes it; the log says so, if it is there.
void tell_unknown_volume(World& world, const std::string& move_id, const KnownFile& file);

// What the plan's volumes at the source are now: their sizes, and how much was ever written to
// them, which the kernel counts for each device until it boots anew. What nobody had written out
// yet is written out first.
Result<std::vector<ImageStamp>> stamp_volumes(const Plan& plan);
// Likewise of one that is a block device.
Result<ImageStamp> stamp_device(const std::string& path);

}  // namespace drover::move
