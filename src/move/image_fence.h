// SPDX-License-Identifier: Apache-2.0
// Images of a VM that must be written by nobody while they are copied: locks that keep every QEMU
// from opening them for writing, and what shows that somebody wrote them although. Any thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "gate/fence.h"
#include "model/plan.h"
#include "move/job.h"

namespace drover::move {

// The images of all placements. kConflict, kSystem: none is locked. It does not see a QEMU that has
// them open already: Fence::check_no_writer().
Result<gate::Fence> fence_images(const Plan& plan);
// Likewise of a VM that is off. kConflict: a QEMU may write one of them.
Result<gate::Fence> fence_unwritten(const Plan& plan);

// What a file is now.
Result<ImageStamp> stamp_of(const std::string& path);
// Likewise the images of all placements.
Result<std::vector<ImageStamp>> stamp_images(const Plan& plan);
// The first of them that is another than it was, by size or by the time it was last written.
// Nothing: none. An error: one cannot be looked at.
Result<std::optional<std::string>> first_written(const std::vector<ImageStamp>& stamps);
// The first image of the plan that was written after this file was. For want of stamps.
Result<std::optional<std::string>> first_written_after(const Plan& plan,
                                                       const std::filesystem::path& file);

}  // namespace drover::move
