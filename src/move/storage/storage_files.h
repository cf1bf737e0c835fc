// SPDX-License-Identifier: Apache-2.0
// Of a storage move's plan: what its disks are built on. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/plan.h"

namespace drover::move {

// What KnownFile::target is of a file that no disk is itself.
inline constexpr std::string_view kLayer = "layer";

// Layers that are copied: each once, and none before what it is built on itself.
std::vector<FilePlacement> moved_files(const Plan& plan);

// What the copy of this disk's image, or of one of its layers, is built on; nothing: it stands
// alone.
const FilePlacement* below_image(const Plan& plan, const DiskPlacement& placement);
const FilePlacement* below_layer(const Plan& plan, const FilePlacement& layer);

// The image becomes one with what it is built on.
bool becomes_one(const Plan& plan, const DiskPlacement& placement);

}  // namespace drover::move
