// SPDX-License-Identifier: Apache-2.0
// Images that travel as they are (cold_files.h) say by name what they are built on, and a peer's
// image could name any file. Both sides look: the source before anything is sent, the destination
// before it takes the VM. Any thread.
#pragma once

#include <optional>

#include "base/error.h"
#include "model/plan.h"

namespace drover::move {

enum class AtSide { kSource, kDestination };

// Each qcow2 file that is sent as it is names what the plan has below it, says its format, and has
// no other file beside itself. kPolicy: not so. kNotFound and the like: it cannot be read.
Status check_layer_names(const Plan& plan, AtSide side);

// The same at the source, for the plan: a blocker, with what helps. Nothing also where a file
// cannot be read: that is said elsewhere.
std::optional<Finding> misnamed_layer(const Plan& plan);

// At the destination, afterwards: an image whose nearest layer lies elsewhere than at the source is
// told so. REQUIRES: check_layer_names() is content. Safe to run twice.
Status name_layers_here(const Plan& plan);

}  // namespace drover::move
